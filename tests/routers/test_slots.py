"""Capacity in exact arithmetic, and places in queues."""

import pytest
import torch

from moe_lib.routers import SwitchRouter
from moe_lib.routers.slots import SlotRule, arrival_positions


@pytest.mark.parametrize(
    ("factor", "tokens", "experts", "top_k", "slots"),
    [
        (1.25, 1024, 8, 1, 160),
        (1.25, 100, 8, 1, 16),  # 15.625
        (1.25, 100, 8, 2, 32),  # 31.25: k is in it
        (1.1, 10, 1, 1, 11),  # the float 1.1 is a hair above 11/10
        (0.1, 30, 1, 1, 3),  # 0.1 * 30 is 3.0000000000000004
        (0.7, 10, 1, 1, 7),
        (1e-9, 10, 4, 1, 1),
        (2, 5, 4, 2, 5),
    ],
)
def test_capacity_rounds_up_what_is_written(factor, tokens, experts, top_k, slots):
    rule = SlotRule(factor)
    assert rule.capacity(tokens, experts, top_k, training=True) == slots
    assert rule.capacity(tokens, experts, top_k, training=False) == slots


def test_capacity_of_training_and_eval_groups_and_minimum():
    rule = SlotRule(1.0, 2.0, min_capacity=3, group_size=8)
    assert rule.capacity(64, 4, 1, training=True) == 3
    assert rule.capacity(64, 4, 1, training=False) == 4
    assert rule.capacity(0, 4, 1, training=False) == 4
    assert SlotRule(None).capacity(64, 4, 2, training=True) is None
    router = SwitchRouter(3, 2, capacity_factor=0.5, eval_capacity_factor=2.0)
    together = torch.tensor([[1.0, 0.0]] * 8)
    assert router.route(together).kept.tolist() == [True] * 2 + [False] * 6
    assert router.eval().route(together).kept.all()


def test_queues_by_hand():
    chosen = torch.tensor([[0, 1], [0, 1], [1, 0], [0, 1]])
    places = arrival_positions(chosen, 2)
    assert places.tolist() == [[0, 1], [1, 2], [0, 3], [2, 3]]  # first choices first
    places = arrival_positions(chosen, 2, group_size=2)
    assert places.tolist() == [[0, 0], [1, 1], [0, 1], [0, 1]]
    surest_last = torch.tensor([0.1, 0.2, 0.2, 0.9])  # token 1 came before 2
    places = arrival_positions(chosen, 2, priority=surest_last)
    assert places.tolist() == [[2, 3], [1, 2], [0, 3], [0, 1]]
    without_token_0 = torch.tensor([False, True, True, True])
    places = arrival_positions(chosen, 2, token_mask=without_token_0)
    assert places[1:].tolist() == [[0, 1], [0, 2], [1, 2]]
