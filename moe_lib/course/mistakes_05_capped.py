"""The mistakes that exercise 05.2, the capped assignment, recognises."""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.course.capped_programme import fill


def _solve(
    scores: Tensor,
    slots: int,
    cap: int,
    weight: float,
    rounds: int,
    *,
    most: float = 0.0,
    memory: bool = True,
) -> tuple[Tensor, Tensor]:
    """The sum of scores / weight and both shifts, and the last shift of the rows."""
    energy = scores / weight
    column = torch.zeros_like(energy[:1])
    for _ in range(rounds):
        row = fill(energy + column, slots)
        seen = energy + row if memory else energy + row + column
        column = fill(seen.T, cap).T.clamp(max=most)
    row = fill(energy + column, slots)
    return energy + row + column, row


def _bounded(total: Tensor) -> Tensor:
    return total.clamp(max=0).exp()


def scaled_up_as_well(scores, slots, cap, weight, rounds):
    return _bounded(_solve(scores, slots, cap, weight, rounds, most=torch.inf)[0])


def times_the_weight(scores, slots, cap, weight, rounds):
    return _bounded(_solve(scores, slots, cap, 1 / weight, rounds)[0])


def without_weight(scores, slots, cap, weight, rounds):
    return _bounded(_solve(scores, slots, cap, 1.0, rounds)[0])


def not_bounded(scores, slots, cap, weight, rounds):
    return _solve(scores, slots, cap, weight, rounds)[0].exp()


def columns_last(scores, slots, cap, weight, rounds):
    energy = scores / weight
    column = torch.zeros_like(energy[:1])
    for _ in range(rounds):
        row = fill(energy + column, slots)
        column = fill((energy + row).T, cap).T.clamp(max=0)
    return _bounded(energy + row + column)


def taken_twice(scores, slots, cap, weight, rounds):
    return _bounded(_solve(scores, slots, cap, weight, rounds, memory=False)[0])


def one_round(scores, slots, cap, weight, rounds):
    return _bounded(_solve(scores, slots, cap, weight, 1)[0])


def no_cap(scores, slots, cap, weight, rounds):
    energy = scores / weight
    return _bounded(energy + fill(energy, slots))


def columns_first(scores, slots, cap, weight, rounds):
    energy = scores / weight
    row = torch.zeros_like(energy[:, :1])
    for _ in range(rounds):
        column = fill((energy + row).T, cap).T.clamp(max=0)
        row = fill(energy + column, slots)
    return _bounded(energy + row + column)


def logarithm(scores, slots, cap, weight, rounds):
    return _solve(scores, slots, cap, weight, rounds)[0].clamp(max=0)
