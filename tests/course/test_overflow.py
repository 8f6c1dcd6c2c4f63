"""Drops by probability: against sums over all outcomes, and against routing."""

import math
from itertools import permutations, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lib.course.overflow import (
    EXPERTS,
    chances,
    drops_by_balance,
    drops_by_factor,
    expected_drops,
    expected_excess,
    routed_drops,
    uneven,
)
from moe_lib.course.second_expert import (
    ALL,
    LEAVING,
    POLICIES,
    PRINTED,
    chance_sent,
    lottery_table,
    run_lottery,
)


@given(n=st.integers(1, 40), p=st.floats(0.01, 0.99), c=st.integers(0, 45))
def test_the_excess_is_that_of_a_binomial(n, p, c):
    want = sum(
        math.comb(n, k) * p**k * (1 - p) ** (n - k) * (k - c)
        for k in range(c + 1, n + 1)
    )
    assert expected_excess(n, p, c) == pytest.approx(want, rel=1e-9, abs=1e-12)


def every_outcome(q, size, capacity):
    """Expected shares of late first and second choices, over all ordered pairs."""
    pairs = list(permutations(range(len(q)), 2))
    weight = {(a, b): q[a] * q[b] / (1 - q[a]) for a, b in pairs}
    late = [0.0, 0.0]
    for group in product(pairs, repeat=size):
        chance = math.prod(weight[pair] for pair in group)
        queue = [0] * len(q)
        for choice in (0, 1):
            for pair in group:
                late[choice] += chance * (queue[pair[choice]] >= capacity) / size
                queue[pair[choice]] += 1
    return late


@settings(max_examples=8, deadline=None)
@given(steep=st.floats(0, 2), size=st.integers(1, 3), capacity=st.integers(1, 3))
def test_shares_are_right_over_all_outcomes(steep, size, capacity):
    q = uneven(steep, 3)
    want = every_outcome(q.tolist(), size, capacity)
    assert expected_drops(q, size, capacity) == pytest.approx(tuple(want), abs=1e-12)


def test_second_choices_are_never_the_first():
    first, second = chances(torch.tensor([0.7, 0.2, 0.1]))
    assert first.sum().item() == pytest.approx(1) == second.sum().item()
    assert second[0].item() == pytest.approx(0.2 * 0.7 / 0.8 + 0.1 * 0.7 / 0.9)


@pytest.mark.parametrize(("steep", "groups", "factor"), [(0, 64, 1), (1.5, 16, 1.25)])
def test_routing_drops_what_probability_says(steep, groups, factor):
    size = 1024 // groups
    capacity = math.ceil(factor * 2 * size / EXPERTS)
    measured = routed_drops(uneven(steep), groups, factor, seeds=40)
    want = sum(expected_drops(uneven(steep), size, capacity)) / 2
    error = (measured.std() / 40**0.5).item()
    assert measured.mean().item() == pytest.approx(want, abs=4 * error)
    assert 0 < error < 0.1 * want


def test_curves_have_their_shape_and_order():
    curves = drops_by_factor(groups=(1, 16), factors=(0.5, 1.0), seeds=3)
    assert [c.name for c in curves] == ["1 group of 1,024", "16 groups of 64"]
    assert curves[0].measured.shape == (2, 3)
    assert (curves[0].expected < curves[1].expected).all()
    assert (curves[0].expected.diff() < 0).all()
    (even,) = drops_by_balance(factors=(1.0,), steepness=(0.0, 1.0), seeds=2)
    assert even.name == "capacity factor 1" and even.x[0].item() == pytest.approx(1)
    assert even.expected[0] < even.expected[1]
    with pytest.raises(ValueError, match="seeds"):
        drops_by_factor(seeds=1)


@pytest.mark.parametrize("experts", [2, 3, 8])
def test_the_chance_of_a_second_choice_by_simulation(experts):
    draw = torch.Generator().manual_seed(1)
    logits = (
        -torch.empty(40_000, experts, dtype=torch.float64)
        .exponential_(generator=draw)
        .log()
    )  # Gumbel
    top = logits.softmax(dim=1).topk(2).values
    simulated = 2 * top[:, 1] / top.sum(dim=1)
    assert simulated.mean().item() == pytest.approx(chance_sent(experts), abs=0.006)


@pytest.mark.parametrize("size", [16, 64])
def test_the_lottery_measured_beside_probability(size):
    lottery = run_lottery(group_size=size, seeds=20)
    assert (lottery.moved, lottery.rows) == (0, 20 * 2048)
    for name in POLICIES:
        measured = lottery.measured[name]
        error = (measured.std(dim=1) / 20**0.5).clamp(min=2e-4)
        assert ((measured.mean(dim=1) - lottery.expected[name]).abs() < 4 * error).all()
    late, empty = ({n: lottery.expected[n][k] for n in POLICIES} for k in (2, 3))
    assert late[LEAVING] < late[ALL] == late[PRINTED]
    assert empty[ALL] < empty[LEAVING] < empty[PRINTED]


def test_the_lottery_as_a_table():
    table = lottery_table(run_lottery(seeds=2))
    assert repr(table) == "3 rules for the second expert"
    assert [row[0] for row in table.rows] == list(POLICIES)
    assert "40.8% (" in table.rows[1][2]
    with pytest.raises(ValueError, match="seeds"):
        run_lottery(seeds=1)
