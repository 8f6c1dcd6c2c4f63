"""The losses on a routing against loops over its rows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lib.losses import (
    cv_squared,
    importance_loss,
    load_balancing_loss,
    load_loss,
    router_z_loss,
)
from moe_lib.routers import (
    ExpertChoiceRouter,
    GShardRouter,
    NoisyTopKRouter,
    SwitchRouter,
    TopKRouter,
)
from oracles import losses
from oracles.arithmetic import cv_squared as cv_squared_by_hand
from oracles.draws import FACTORS, cases
from oracles.tables import Row
from oracles.token_choice import gshard, keep_top_k


def many(examples: int):
    return settings(deadline=None, max_examples=examples)


def close(value: float):
    return pytest.approx(value, rel=1e-5, abs=1e-6)


def rows_of(routing) -> list[Row]:
    columns = (
        routing.token_index, routing.expert_index, routing.combine_weights,
        routing.kept, routing.position_in_expert,
    )  # fmt: skip
    return [Row(*row) for row in zip(*(c.tolist() for c in columns), strict=True)]


@many(100)
@given(
    cases(min_experts=2, groups=True),
    FACTORS,
    st.sampled_from([SwitchRouter, GShardRouter]),
    st.booleans(),
)
def test_balance_is_the_mean_over_groups_before_dropping(case, factor, kind, training):
    router = kind(
        3, case.num_experts, capacity_factor=factor, group_size=case.group_size
    ).train(training)
    routing = router.route(case.tensor, case.token_mask)
    want = losses.load_balancing(
        case.logits, rows_of(routing), case.group_size, case.mask
    )
    assert load_balancing_loss(routing).item() == close(want)


@many(60)
@given(cases(), st.data())
def test_losses_of_top_k(case, data):
    k = data.draw(st.integers(1, case.num_experts))
    routing = TopKRouter(3, case.num_experts, top_k=k).route(
        case.tensor, case.token_mask
    )
    rows = keep_top_k(case.logits, k, case.mask)
    balance = losses.load_balancing(case.logits, rows, None, case.mask)
    assert load_balancing_loss(routing).item() == close(balance)
    assert router_z_loss(routing).item() == close(
        losses.router_z(case.logits, case.mask)
    )
    importance = losses.importance_loss(rows, case.num_experts)
    assert importance_loss(routing).item() == close(importance)


@many(40)
@given(cases(min_experts=2))
def test_the_loss_in_gshards_algorithm_is_ours_over_e_squared(case):
    """Line 13 counts first choices, as Switch does: E^2 l_aux = E sum f P."""
    _, l_aux = gshard(case.logits, 1, range(case.num_tokens))
    routing = SwitchRouter(3, case.num_experts).route(case.tensor)
    assert load_balancing_loss(routing).item() == close(case.num_experts**2 * l_aux)


@many(40)
@given(cases(), FACTORS)
def test_expert_choice_asks_for_every_expert_alike(case, factor):
    router = ExpertChoiceRouter(3, case.num_experts, capacity_factor=factor)
    assert load_balancing_loss(router.route(case.tensor)).item() == close(1)


@many(40)
@given(st.lists(st.floats(0, 100, width=32), min_size=1, max_size=8))
def test_cv_squared(values):
    got = cv_squared(torch.tensor(values)).item()
    assert got == pytest.approx(cv_squared_by_hand(values), rel=1e-4, abs=1e-6)


def test_load_loss_is_cv_squared_of_the_expected_load():
    torch.manual_seed(0)
    router = NoisyTopKRouter(3, 5, top_k=2)
    torch.nn.init.normal_(router.gate.weight)
    routing = router(torch.randn(20, 3))
    load = routing.expected_load.tolist()
    assert load_loss(routing).item() == close(cv_squared_by_hand(load))


def test_gradients_of_the_z_loss_by_hand():
    """Its derivative with respect to a logit: 2 LSE softmax_j / T."""
    logits = torch.randn(6, 4, requires_grad=True)
    routing = SwitchRouter(3, 4).route(logits)
    (grad,) = torch.autograd.grad(router_z_loss(routing), logits)
    by_hand = 2 * logits.logsumexp(-1, keepdim=True) * logits.softmax(-1) / 6
    assert torch.allclose(grad, by_hand, atol=1e-6)
