"""The exercises of chapter 3, with their solutions; mistakes are in `mistakes_03`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from moe_lib.course import mistakes_03 as mistakes
from moe_lib.course.exercises import Exercise


def positions(chosen: Tensor, num_experts: int) -> Tensor:
    arrivals = one_hot(chosen.T.flatten(), num_experts)  # [k * T, E]
    before = arrivals.cumsum(dim=0) - arrivals
    place = (before * arrivals).sum(dim=1)
    return place.view(chosen.T.shape).T


def overflow(
    chosen: Tensor, num_experts: int, group_size: int, capacity: int
) -> Tensor:
    groups = chosen.split(group_size)
    place = torch.cat([positions(group, num_experts) for group in groups])
    return (place >= capacity).all(dim=1)


def _choices(draw: torch.Generator, tokens: int, experts: int, k: int) -> Tensor:
    """Different experts for each token, the low ones more often, [T, k] int64."""
    likes = torch.rand(tokens, experts, generator=draw)
    return (likes - 0.08 * torch.arange(experts)).argsort(dim=1, descending=True)[:, :k]


def _queue_cases():
    draw = torch.Generator().manual_seed(2020)
    for tokens, experts, k in (
        (1, 2, 2), (2, 2, 1), (2, 3, 2), (4, 3, 2), (4, 4, 3), (7, 4, 2), (40, 8, 2),
    ):  # fmt: skip
        yield _choices(draw, tokens, experts, k), experts


def _overflow_cases():
    draw = torch.Generator().manual_seed(2048)
    for tokens, experts, k, size, capacity in (
        (2, 2, 1, 2, 1), (4, 3, 2, 2, 1), (6, 3, 2, 3, 1), (8, 3, 2, 4, 2),
        (12, 4, 2, 6, 2), (48, 6, 2, 12, 3), (64, 8, 3, 16, 4),
    ):  # fmt: skip
        yield _choices(draw, tokens, experts, k), experts, size, capacity


EXERCISES = [
    Exercise(
        "03.1",
        title="the position in the buffer",
        statement=(
            "For the choices `chosen` [T, k] of one group, first choice first: how"
            " many stand before each of them in the queue of its expert? All first"
            " choices queue before any second choice. Return [T, k] int64, from 0."
        ),
        lines=4,
        hint=(
            "Write the choices in order of arrival: chosen.T.flatten() has all first"
            " choices, then all second ones. one_hot makes a column for each expert;"
            " its cumsum counts who came, this one included."
        ),
        solution=positions,
        cases=_queue_cases(),
        mistakes={
            "token by token: a second choice of an early token must not stand before"
            " a first choice of a late one": mistakes.token_major,
            "the first place is 0: do not count the choice itself": mistakes.from_one,
            "second choices start at 0 again: their counters go on where the first"
            " choices ended": mistakes.counters_restart,
            "last choices queue first; the first choices should": mistakes.last_first,
            "view to [k, T], then turn it: the order of arrival is not [T, k]": (
                mistakes.not_turned_back
            ),
            "each expert has a queue of its own": mistakes.one_queue,
        },
    ),
    Exercise(
        "03.2",
        title="the overflow set",
        statement=(
            "Which tokens does *no* expert take? Groups of `group_size` tokens follow"
            " one another in `chosen` [T, k]; in each group every expert has"
            " `capacity` places. Return [T] bool. `positions` of 03.1 is there."
        ),
        lines=3,
        hint=(
            "chosen.split(group_size) gives the groups. A choice is kept if its"
            " position is below the capacity; a token overflows if none of its"
            " choices is."
        ),
        solution=overflow,
        cases=_overflow_cases(),
        mistakes={
            "the queues start anew in each group": mistakes.without_groups,
            "a group cannot lend its places to another: compare within each group": (
                mistakes.capacity_of_all
            ),
            "with C places the last position is C - 1: position C is too late": (
                mistakes.strictly_beyond
            ),
            "one choice too late is not enough: no expert took the token": (
                mistakes.dropped_once
            ),
            "those lost their first choice; another may have taken them": (
                mistakes.first_choices
            ),
            "all first choices of a group queue before its second choices": (
                mistakes.tokens_in_turn
            ),
            "those are the tokens that are served": mistakes.served,
        },
    ),
]
