"""Given the same weights and room, our layer is transformers' Switch block.

Where that library does something else, a test names it and shows it, on the installed
version; what it has mended since others found it is tested as agreement.
"""

from __future__ import annotations

import pytest
import torch

transformers = pytest.importorskip("transformers")

from transformers import (  # noqa: E402
    SwitchTransformersConfig,
    SwitchTransformersForConditionalGeneration,
)
from transformers.models.switch_transformers import (  # noqa: E402
    modeling_switch_transformers as modeling,
)

from benchmarks import peers  # noqa: E402
from benchmarks.candidates import our_layer, ours_switch  # noqa: E402
from benchmarks.shapes import Bank, Shape  # noqa: E402
from moe_lib.losses import load_balancing_loss, router_z_loss  # noqa: E402
from moe_lib.routers import SwitchRouter  # noqa: E402

SHAPE = Shape(64, 4, 1, "relu", d_model=16, d_ff=32)
EXACT = dict(rtol=1e-5, atol=1e-5)


def route(logits: torch.Tensor):
    return SwitchRouter(8, logits.shape[1], capacity_factor=None).route(logits)


def test_outputs_and_gradients_are_the_same_where_nothing_is_dropped():
    bank = Bank(SHAPE, "cpu", torch.float32)
    mine, theirs = ours_switch(bank), peers.transformers_switch(bank)
    torch.testing.assert_close(mine.forward(), theirs.forward()[0], **EXACT)
    theirs.grad = mine.grad.unsqueeze(0)
    mine.forward_backward()
    theirs.forward_backward()

    experts = [theirs.module.experts[f"expert_{e}"] for e in range(4)]
    router = theirs.module.router.classifier.weight
    pairs = {
        "x": (mine.x.grad, theirs.x.grad[0]),
        "router": (mine.module.router.gate.weight.grad, router.grad),
        "w_in": (
            mine.module.experts.w_in.grad,
            torch.stack([expert.wi.weight.grad.T for expert in experts]),
        ),
        "w_out": (
            mine.module.experts.w_out.grad,
            torch.stack([expert.wo.weight.grad.T for expert in experts]),
        ),
    }
    for name, (our_grad, their_grad) in pairs.items():
        error = (our_grad - their_grad).abs().max() / their_grad.abs().max()
        assert float(error) <= 1e-5, f"gradient of {name}: {float(error)}"


@pytest.mark.parametrize("sequences", [1, 4])
def test_capacity_is_enforced_again_and_a_dropped_token_is_zero(sequences):
    """Version 5 once never dropped (transformers #48293), and dropped tokens were not
    zero before (#37017); both are mended here. Their groups are the sequences."""
    length = 64 // sequences
    capacity = length // 8  # half of an even share among 4 experts
    bank = Bank(SHAPE, "cpu", torch.float32)
    theirs = peers.transformers_switch(bank)
    theirs.module.router.expert_capacity = capacity
    router = SwitchRouter(16, 4, capacity_factor=0.5, group_size=length)
    mine = our_layer(bank, router, expected=theirs.expected)
    y, routing = mine.module(mine.x)
    assert routing.capacity == capacity and routing.drop_fraction > 0.4
    their_y = theirs.module(theirs.x.view(sequences, length, 16)).view(64, 16)
    torch.testing.assert_close(y, their_y, **EXACT)
    assert torch.equal(their_y[~routing.kept], torch.zeros_like(y[~routing.kept]))


def test_their_jitter_changes_the_input():
    """The router makes float32 of its input, which for float32 is no copy, and
    multiplies that in place: the experts and the caller see the noise."""
    config = SwitchTransformersConfig(
        d_model=16, d_ff=32, num_experts=4, router_jitter_noise=0.5
    )
    router = modeling.SwitchTransformersTop1Router(config).train()
    x = torch.randn(1, 8, 16)
    before = x.clone()
    with torch.no_grad():
        router(x)
    assert not torch.equal(x, before)

    ours = SwitchRouter(16, 4, jitter_noise=0.5).train()
    x = before.clone()
    ours(x[0])
    assert torch.equal(x, before)


def model(sparse_layers: int) -> SwitchTransformersForConditionalGeneration:
    torch.manual_seed(0)
    config = SwitchTransformersConfig(
        vocab_size=32, d_model=16, d_kv=8, d_ff=32, num_heads=2, num_experts=4,
        num_layers=2, num_decoder_layers=2, num_sparse_encoder_layers=sparse_layers,
        num_sparse_decoder_layers=sparse_layers,
    )  # fmt: skip
    return SwitchTransformersForConditionalGeneration(config).eval()


def answer(sparse_layers: int):
    tokens = torch.arange(24).view(2, 12)
    return model(sparse_layers)(
        input_ids=tokens, decoder_input_ids=tokens, output_router_logits=True
    )


def test_with_one_sparse_layer_both_losses_agree():
    """The z-loss is fed logits, not probabilities as before (transformers #48293), and
    f is counted before anything is dropped. A group is a sequence in their loss."""
    out = answer(sparse_layers=1)
    (logits,) = out.encoder_router_logits
    groups = [route(group) for group in logits]
    balancing = torch.stack([load_balancing_loss(group) for group in groups]).mean()
    torch.testing.assert_close(out.encoder_aux_loss, balancing)
    torch.testing.assert_close(
        out.encoder_z_loss, router_z_loss(route(logits.flatten(0, 1)))
    )


def test_two_collapsed_layers_look_balanced_to_their_loss():
    """They put the layers' logits end to end, then take one f and one P.

    Layer 1 sends half of the tokens to each of experts 0 and 1, layer 2 to 2 and 3:
    two collapsed layers, and their loss is that of balance.
    """
    first = torch.full((1, 32, 4), -9.0)
    first[:, :16, 0] = first[:, 16:, 1] = 9.0
    second = first.flip(2)
    logits, index = model(1)._unpack_router_logits((first, second))
    theirs = modeling.load_balancing_loss_func(logits.softmax(-1), index)
    assert float(theirs) == pytest.approx(1.0)
    mine = [load_balancing_loss(route(each[0])) for each in (first, second)]
    assert mine == [pytest.approx(2.0)] * 2


def test_a_model_with_only_sparse_layers_gets_no_losses_at_all():
    """They ask for ``sparse_step > 1``: with experts in every block both are 0."""
    out = answer(sparse_layers=2)
    assert len(out.encoder_router_logits) == 2
    assert (out.encoder_z_loss, out.encoder_aux_loss) == (0, 0)
