"""The loops of `oracles` on cases small enough to work out on paper."""

import math

import pytest

from oracles import arithmetic, losses
from oracles.expert_choice import best_plan, entropy_objective, expert_choice
from oracles.tables import Row
from oracles.token_choice import (
    balanced_hash,
    expected_load,
    gshard,
    keep_top_k,
    kth_excluding,
    switch,
)

LN3 = math.log(3.0)


def test_capacity_rounds_up_and_counts_k():
    assert arithmetic.slots_per_expert(1.25, 1, 100, 8) == 16
    assert arithmetic.slots_per_expert(1.25, 2, 100, 8) == 32
    assert arithmetic.slots_per_expert(1.1, 1, 50, 5) == 11  # 12 in floats
    assert arithmetic.slots_per_expert(0.1, 1, 1, 8, minimum=4) == 4


def test_gshard_by_hand():
    """Three tokens, two experts, one slot each; p = (3/4, 1/4) or its mirror image."""
    logits = [[LN3, 0.0], [LN3, 0.0], [0.0, LN3]]
    rows, l_aux = gshard(logits, 1, range(3), rnd=[0.4, 0.6, 0.4])
    assert [(r.token, r.expert, r.kept, r.slot) for r in rows] == [
        (0, 0, True, 0),
        (0, 1, False, 1),  # drawn (2 * 1/4 > 0.4), but token 2 came first
        (1, 0, False, 1),
        (1, 1, False, 2),  # not drawn, and counted all the same
        (2, 1, True, 0),
        (2, 0, False, 2),
    ]
    assert rows[0].weight == pytest.approx(0.75)
    # c / S = (2/3, 1/3), m = (7/12, 5/12)
    assert l_aux == pytest.approx((2 / 3 * 7 / 12 + 1 / 3 * 5 / 12) / 2)


def test_switch_by_hand():
    logits = [[LN3, 0.0], [LN3, 0.0], [0.0, 0.0]]
    rows = switch(logits, 2, range(3))
    assert [(r.expert, r.kept, r.slot) for r in rows] == [
        (0, True, 0), (0, True, 1), (0, False, 2),
    ]  # fmt: skip
    assert [r.weight for r in rows] == pytest.approx([0.75, 0.75, 0.0])
    third_is_surest = [[0.6, 0.4], [0.6, 0.4], [0.9, 0.1]]
    rows = switch(logits, 1, range(3), priority=third_is_surest)
    assert [r.slot for r in rows] == [1, 2, 0]


def test_top_k_by_hand():
    rows = keep_top_k([[0.0, LN3, 0.0], [5.0, 5.0, 5.0]], 2)
    assert [(r.expert, r.slot) for r in rows] == [(1, 0), (0, 1), (0, 0), (1, 1)]
    assert [r.weight for r in rows] == pytest.approx([0.75, 0.25, 0.5, 0.5])


def test_the_threshold_of_2017_leaves_the_expert_itself_out():
    noisy = [5.0, 3.0, 1.0]
    assert [kth_excluding(noisy, 2, i) for i in range(3)] == [1.0, 1.0, 3.0]
    assert kth_excluding(noisy, 3, 0) is None
    load = expected_load([[1.0, 0.0, 3.0]], [noisy], [[1.0, 1.0, 2.0]], 2)
    assert load == pytest.approx([0.5, arithmetic.normal_cdf(-1), 0.5])
    assert arithmetic.normal_cdf(1.96) == pytest.approx(0.975, abs=1e-4)


def test_expert_choice_by_hand():
    probs = [[0.6, 0.4], [0.6, 0.4], [0.9, 0.1]]
    rows = expert_choice(probs, 2, range(3))
    assert rows == [
        Row(2, 0, 0.9, True, 0), Row(0, 0, 0.6, True, 1),
        Row(0, 1, 0.4, True, 0), Row(1, 1, 0.4, True, 1),
    ]  # fmt: skip


def test_capped_programme_by_hand():
    """Two experts of one slot, two tokens: A = (p, 1-p; 1-p, p), p / (1-p) = e."""
    scores, strength = [[0.3, 0.2], [0.1, 0.2]], 0.1
    p = 1 / (1 + math.exp(-1))
    plan = best_plan(scores, 1, 1, strength)
    assert plan[0] == pytest.approx([p, 1 - p], abs=1e-4)
    assert plan[1] == pytest.approx([1 - p, p], abs=1e-4)
    value = 0.5 * p + 0.3 * (1 - p)
    value -= 0.2 * (p * math.log(p) + (1 - p) * math.log(1 - p))
    assert entropy_objective(scores, plan, strength) == pytest.approx(value)


def test_balanced_hash_by_hand():
    assert balanced_hash([1, 5, 3, 3], 2) == [0, 0, 1, 1]
    assert balanced_hash([2, 2, 0, 0], 2) == [0, 1, 0, 1]


def test_losses_by_hand():
    even = [[LN3, 0.0], [0.0, LN3]]
    assert losses.load_balancing(even, switch(even, 9, range(2))) == pytest.approx(1)
    one = [[LN3, 0.0], [LN3, 0.0]]
    assert losses.load_balancing(one, switch(one, 1, range(2))) == pytest.approx(1.5)
    assert losses.router_z(even) == pytest.approx(math.log(4) ** 2)
    assert losses.importance(switch(one, 9, range(2)), 2) == pytest.approx([1.5, 0])
    assert arithmetic.cv_squared([1.0, 3.0]) == pytest.approx(1 / 4)
