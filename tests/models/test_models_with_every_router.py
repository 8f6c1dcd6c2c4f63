"""Every model with every router: where CUDA goes, and in bf16."""

import pytest
import torch

from moe_lib.experts import Experts
from moe_lib.layer import MoE
from moe_lib.models.lookup_net import LookupNet
from moe_lib.models.lstm_lm import LSTMLanguageModel
from moe_lib.models.transformer import (
    EncoderDecoder,
    TransformerLM,
)
from moe_lib.models.window_mlp import WindowMLP
from router_kinds import ALL, D_MODEL, VOCABULARY

SHAPE = (D_MODEL, 2, 2)  # d_model, num_heads, num_layers


def sequences(device):
    return torch.randint(VOCABULARY, (4, 6), device=device)


def masked(device):
    mask = torch.arange(6, device=device) < torch.tensor(
        [[6], [5], [3], [1]], device=device
    )
    return sequences(device), mask


def both_sides(device):
    source, mask = masked(device)
    return source, sequences(device), mask, mask


def features(device):
    return (
        torch.randn(24, D_MODEL, device=device),
        torch.randint(3, (24,), device=device),
    )


MODELS = {
    "window": (
        lambda ffn: WindowMLP(D_MODEL, ffn, width=6),
        lambda device: (sequences(device).repeat(6, 1),),
    ),
    "lookup": (lambda ffn: LookupNet(D_MODEL, 3, 7, ffn), features),
    "lstm": (
        lambda ffn: LSTMLanguageModel(VOCABULARY, D_MODEL, ffn),
        lambda device: (sequences(device),),
    ),
    "decoder": (
        lambda ffn: TransformerLM(VOCABULARY, *SHAPE, ffn, max_length=8),
        masked,
    ),
    "bytes": (
        lambda ffn: TransformerLM(256, *SHAPE, ffn, max_length=8, byte_width=3),
        lambda device: (sequences(device),),
    ),
    "encoder": (
        lambda ffn: TransformerLM(
            VOCABULARY, *SHAPE, ffn, max_length=8, causal=False, dropout=0.1
        ),
        masked,
    ),
    "encoder_decoder": (
        lambda ffn: EncoderDecoder(VOCABULARY, *SHAPE, ffn, max_length=8),
        both_sides,
    ),
}


def build(name, router):
    torch.manual_seed(0)
    return MODELS[name][0](lambda _: MoE(ALL[router](4), Experts(4, D_MODEL, 8)))


@pytest.mark.parametrize("router", ALL)
@pytest.mark.parametrize("name", MODELS)
def test_forward_and_backward_on_meta(name, router):
    with torch.device("meta"):
        model = build(name, router)
    assert all(p.is_meta for p in model.parameters())
    logits, routings = model(*MODELS[name][1]("meta"))
    assert logits.is_meta and routings
    logits.square().mean().backward()
    # (a router that the loss does not reach through y, such as a hash, has none)
    assert all(
        p.grad is not None for n, p in model.named_parameters() if "router" not in n
    )


@pytest.mark.parametrize("how", ["bf16", "autocast"])
@pytest.mark.parametrize("router", ["switch", "top_k", "expert_choice"])
@pytest.mark.parametrize("name", MODELS)
def test_bf16_is_close_to_float32(name, router, how):
    model = build(name, router).eval()
    torch.manual_seed(1)
    inputs = MODELS[name][1]("cpu")
    wanted, _ = model(*inputs)
    if how == "bf16":
        model = model.bfloat16()
        inputs = tuple(x.bfloat16() if x.is_floating_point() else x for x in inputs)
    with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
        logits, routings = model(*inputs)
    assert logits.dtype == torch.bfloat16
    assert all(r.router_logits.dtype == torch.float32 for r in routings)
    logits.float().square().mean().backward()
    assert all(
        torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None
    )
    # rounding may send a token elsewhere, so most outputs are close, not all
    close = (logits.float() - wanted).abs() < 0.05 * wanted.abs().max()
    assert close.float().mean() > 0.8
