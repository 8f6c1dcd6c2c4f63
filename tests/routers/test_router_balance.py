"""Loads that are known exactly: balance, collapse, room for all, fresh noise."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import router_kinds as kinds
from moe_lib.losses import cv_squared, load_balancing_loss
from moe_lib.routers import (
    ExpertChoiceRouter,
    GShardRouter,
    NoisyTopKRouter,
    SwitchRouter,
    TopKRouter,
)
from router_kinds import rows_of


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 999))
def test_a_capacity_large_enough_is_none(tokens, experts, seed):
    logits = torch.randn(tokens, experts, generator=torch.Generator().manual_seed(seed))
    plenty = float(experts)
    capped = SwitchRouter(3, experts, capacity_factor=plenty).route(logits)
    free = SwitchRouter(3, experts, capacity_factor=None).route(logits)
    assert rows_of(capped) == rows_of(free)
    assert capped.drop_fraction == 0
    if experts > 1:
        pair = [
            GShardRouter(3, experts, capacity_factor=f, second_expert_policy="all")
            for f in (plenty, None)
        ]
        one, two = (rows_of(r.route(logits)) for r in pair)
        assert one == two


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.integers(1, 6), st.floats(0.1, 6), st.integers(0, 999))
def test_expert_choice_is_balanced_exactly(tokens, experts, factor, seed):
    logits = torch.randn(tokens, experts, generator=torch.Generator().manual_seed(seed))
    routing = ExpertChoiceRouter(3, experts, capacity_factor=factor).route(logits)
    assert cv_squared(routing.tokens_per_expert.float()) == 0
    assert routing.tokens_per_expert.eq(routing.capacity).all()


@pytest.mark.parametrize("experts", range(1, 9))
def test_balance_costs_1_and_collapse_costs_the_number_of_experts(experts):
    router = SwitchRouter(3, experts, capacity_factor=1.0)
    sure = 100 * torch.eye(experts).repeat(3, 1)  # f and P even
    collapsed = 100 * torch.eye(experts)[:1].repeat(5, 1)
    assert load_balancing_loss(router.route(sure)) == 1
    assert load_balancing_loss(router.route(collapsed)) == experts
    flat = router.route(torch.zeros(2 * experts, experts))  # f collapsed, P even
    one = 1 if experts in (1, 2, 4, 8) else pytest.approx(1, abs=3e-7)  # thirds round
    assert load_balancing_loss(flat).item() == one
    for k in range(1, experts + 1):  # whatever k is
        cyclic = sum(torch.eye(experts).roll(i, 1) for i in range(k))
        balanced = TopKRouter(3, experts, top_k=k).route(cyclic)
        assert balanced.demand_per_expert.eq(k).all()
        assert load_balancing_loss(balanced).item() == pytest.approx(1, abs=1e-6)


@settings(deadline=None, max_examples=5)
@given(st.integers(1, 3), st.integers(0, 999))
def test_expected_load_is_the_chance_under_fresh_noise_on_one_expert(k, seed):
    """Monte Carlo of P(x, i): noise drawn afresh on i, all other noise as it was."""
    experts, draws = 4, 20_000
    router = NoisyTopKRouter(kinds.D_MODEL, experts, top_k=k)
    with torch.no_grad():
        for weight in router.parameters():
            weight.normal_(std=0.3)
    x, _ = kinds.tokens(1, seed)
    torch.manual_seed(seed)
    load = router(x).expected_load
    torch.manual_seed(seed)
    noise = torch.randn(1, experts)
    clean, sigma = router.gate(x), F.softplus(router.noise(x))
    for i in range(experts):
        noisy = (clean + noise * sigma).repeat(draws, 1)
        noisy[:, i] = clean[0, i] + torch.randn(draws) * sigma[0, i]
        others = torch.cat([noisy[:, :i], noisy[:, i + 1 :]], dim=1)
        chosen = (noisy[:, i : i + 1] > others).sum(1) >= experts - k
        share = chosen.double().mean().item()
        assert load[i].item() == pytest.approx(share, abs=5 * 0.5 / math.sqrt(draws))
