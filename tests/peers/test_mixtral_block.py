"""Given the same weights, our layer is transformers' Mixtral block.

Where that library does something else, a test names it and shows it, on the installed
version: a test that fails after an upgrade may mean that they mended it.
"""

from __future__ import annotations

import pytest
import torch

transformers = pytest.importorskip("transformers")

from transformers import MixtralConfig, MixtralForCausalLM  # noqa: E402
from transformers.models.mixtral import modeling_mixtral  # noqa: E402

from benchmarks import peers  # noqa: E402
from benchmarks.candidates import ours  # noqa: E402
from benchmarks.shapes import Bank, Shape  # noqa: E402
from moe_lib.losses import load_balancing_loss  # noqa: E402
from moe_lib.routers import TopKRouter  # noqa: E402


def both(shape: Shape, implementation: str = "eager", dtype=torch.float32):
    """Our layer and their block, with the same weights and inputs."""
    bank = Bank(shape, "cpu", dtype)
    return ours(bank), peers.mixtral(bank, implementation)


def route(logits: torch.Tensor, top_k: int = 2):
    return TopKRouter(8, logits.shape[1], top_k=top_k).eval().route(logits)


@pytest.mark.parametrize("implementation", ["eager", "grouped_mm", "batched_mm"])
@pytest.mark.parametrize("experts, top_k", [(4, 1), (8, 2), (8, 8)])
def test_outputs_and_gradients_are_the_same(experts, top_k, implementation):
    shape = Shape(64, experts, top_k, "swiglu", d_model=16, d_ff=32)
    mine, theirs = both(shape, implementation)
    torch.testing.assert_close(
        mine.forward(), theirs.forward()[0], rtol=1e-5, atol=1e-5
    )
    theirs.grad = mine.grad.unsqueeze(0)
    mine.forward_backward()
    theirs.forward_backward()

    gate, up = theirs.module.experts.gate_up_proj.grad.chunk(2, dim=1)
    bank = mine.module.experts
    pairs = {
        "x": (mine.x.grad, theirs.x.grad[0]),
        "router": (mine.module.router.gate.weight.grad, theirs.module.gate.weight.grad),
        "w_gate": (bank.w_gate.grad, gate.transpose(1, 2)),
        "w_in": (bank.w_in.grad, up.transpose(1, 2)),
        "w_out": (
            bank.w_out.grad,
            theirs.module.experts.down_proj.grad.transpose(1, 2),
        ),
    }
    for name, (our_grad, their_grad) in pairs.items():
        scale = max(1.0, float(their_grad.abs().max()))  # k = 1: all are 0
        error = float((our_grad - their_grad).abs().max()) / scale
        assert error <= 1e-5, f"gradient of {name}: {error}"


@pytest.mark.parametrize("top_k", [1, 2])
def test_for_one_layer_their_balancing_loss_is_k_times_ours(top_k):
    """They do not divide f by k: a balanced layer has k, not 1."""
    logits = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    theirs = modeling_mixtral.load_balancing_loss_func((logits,), 4, top_k)
    mine = load_balancing_loss(route(logits, top_k))
    torch.testing.assert_close(theirs, top_k * mine)


def test_two_collapsed_layers_look_balanced_to_their_loss():
    """They add up f and P over all layers, then multiply (transformers #28255).

    Layer 1 sends every token to experts 0 and 1, layer 2 to experts 2 and 3. Each is
    collapsed; added up they are even, and their loss says what it says of balance.
    """
    first = torch.tensor([[9.0, 9.0, -9.0, -9.0]]).repeat(32, 1)
    second = first.flip(1)
    theirs = modeling_mixtral.load_balancing_loss_func((first, second), 4, 2)
    assert theirs == pytest.approx(2.0)  # balanced: k = 2
    mine = [load_balancing_loss(route(logits)) for logits in (first, second)]
    assert mine == [pytest.approx(2.0)] * 2  # balanced would be 1


def test_their_jitter_changes_the_input_and_what_the_experts_see():
    """They multiply hidden_states in place; ours jitters a copy, for the router only
    (see SwitchRouter; Mixtral's router has no noise here)."""
    config = MixtralConfig(
        hidden_size=16, intermediate_size=32, num_local_experts=4,
        router_jitter_noise=0.5,
    )  # fmt: skip
    block = modeling_mixtral.MixtralSparseMoeBlock(config).train()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(1, 8, 16)
    before = x.clone()
    with torch.no_grad():
        block(x)
    assert not torch.equal(x, before)


def test_their_router_computes_in_the_models_dtype():
    """In a bf16 model logits are bf16, and softmax alone float32: ours are float32."""
    mine, theirs = both(Shape(512, 64, 2, "swiglu", 64, 8), dtype=torch.bfloat16)
    logits, _, chosen = theirs.module.gate(theirs.x)
    routing = mine.module.router(mine.x)
    assert logits.dtype == torch.bfloat16
    assert routing.router_logits.dtype == torch.float32
    our_choice = routing.expert_index.view(-1, 2).sort(dim=1).values
    moved = (our_choice != chosen.sort(dim=1).values).any(dim=1)
    assert moved.any()  # rounding alone sends these tokens elsewhere


def tiny_model() -> MixtralForCausalLM:
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, num_local_experts=4,
        num_experts_per_tok=2, router_aux_loss_coef=1.0,
    )  # fmt: skip
    return MixtralForCausalLM(config).train()


def test_their_balancing_loss_is_left_out_unless_logits_are_asked_for():
    """``router_aux_loss_coef`` alone does nothing (transformers #44242)."""
    model, tokens = tiny_model(), torch.arange(24).view(2, 12)
    silent = model(tokens, labels=tokens)
    asked = model(tokens, labels=tokens, output_router_logits=True)
    assert silent.aux_loss is None
    torch.testing.assert_close(asked.loss, silent.loss + asked.aux_loss)


def test_their_router_logits_are_logits_now():
    """Some routers once returned probabilities (transformers #45120); this does not."""
    model, tokens = tiny_model(), torch.arange(24).view(2, 12)
    for logits in model(tokens, output_router_logits=True).router_logits:
        assert (logits < 0).any()
        assert not torch.allclose(logits.sum(dim=-1), torch.ones(24))
