"""The solutions of chapter 4 against the library and autograd."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lib.course.exercises import find
from moe_lib.course.exercises_04 import router_gradient, switch_dispatch
from moe_lib.routers import SwitchRouter

TABLES = {
    "tokens": st.integers(1, 30),
    "experts": st.integers(1, 8),
    "quarters": st.integers(1, 8),
    "seed": st.integers(0, 999),
}


def table(tokens, experts, quarters, seed):
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(tokens, experts, generator=draw, dtype=torch.float64)
    logits.requires_grad_()
    routing = SwitchRouter(1, experts, capacity_factor=quarters / 4).route(logits)
    return logits, routing, draw


@settings(max_examples=40, deadline=None)
@given(**TABLES)
def test_the_dispatch_is_the_router_s(tokens, experts, quarters, seed):
    _, routing, _ = table(tokens, experts, quarters, seed)
    slots, kept = switch_dispatch(routing.expert_index, experts, quarters / 4)
    assert torch.equal(slots, routing.position_in_expert)
    assert torch.equal(kept, routing.kept)


@settings(max_examples=40, deadline=None)
@given(**TABLES)
def test_the_gradient_is_autograd_s(tokens, experts, quarters, seed):
    logits, routing, draw = table(tokens, experts, quarters, seed)
    outputs, upstream = torch.randn(2, tokens, 3, generator=draw, dtype=torch.float64)
    y = routing.combine_weights[:, None] * outputs
    (slope,) = torch.autograd.grad(y, logits, upstream)
    by_hand = router_gradient(logits.detach(), outputs, routing.kept.long(), upstream)
    assert torch.allclose(by_hand, slope, atol=1e-14)


@pytest.mark.parametrize("factor_first", [True, False])
def test_rounding_of_floats_decides_no_case(factor_first):
    for expert, experts, factor in find("04.1").cases:
        tokens = len(expert)
        exact = -(-int(4 * factor) * tokens // (4 * experts))
        floats = factor * tokens / experts if factor_first else (
            factor * (tokens / experts))  # fmt: skip
        assert torch.tensor(floats, dtype=torch.float64).ceil() == exact
