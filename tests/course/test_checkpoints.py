"""When a loss was reached, on lines between checkpoints."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from moe_lib.course.checkpoints import arms_of, first_reached, interpolated


def test_a_straight_line_between_checkpoints():
    x = torch.tensor([[1.0, 2.0, 4.0]]).expand(5, 3)
    y = torch.tensor([[10.0, 20.0, 40.0]]).expand(5, 3)
    at = torch.tensor([1.0, 1.5, 3.0, 4.0, 2.0])
    assert interpolated(x, y, at).tolist() == [10, 15, 30, 40, 20]
    outside = interpolated(x[:2], y[:2], torch.tensor([0.5, 4.1]))
    assert outside.isnan().all()


def test_the_first_time_counts_and_never_is_infinite():
    losses = torch.tensor([[4.0, 2.0, 3.0, 1.0]]).expand(5, 4)
    steps = torch.tensor([[10.0, 20.0, 30.0, 40.0]]).expand(5, 4)
    level = torch.tensor([3.0, 2.0, 1.5, 0.5, 5.0])
    found = first_reached(losses, level, steps)
    assert found.tolist() == [15, 20, 35, math.inf, 10]


@given(st.lists(st.floats(0, 9, width=32), min_size=2, max_size=8), st.floats(0, 9))
def test_it_is_between_the_checkpoints_around_it(losses, level):
    x = torch.arange(1.0, len(losses) + 1)
    found = first_reached(torch.tensor([losses]), torch.tensor([level]), x[None]).item()
    there = [k + 1 for k, loss in enumerate(losses) if loss <= torch.tensor(level)]
    if not there:
        assert found == math.inf
    else:
        assert max(1, there[0] - 1) <= found <= there[0]


def test_arms_are_those_with_seconds():
    columns = dict.fromkeys(("a at 1: bits", "a at 1: seconds", "b: bits"), 0)
    assert arms_of(columns) == ["a at 1"]
