"""The exercises of chapter 5b, with their solutions; mistakes are in `mistakes_05b`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moe_lib.course import mistakes_05b as mistakes
from moe_lib.course.exercises import Challenge, Exercise
from moe_lib.routers import ExpertChoiceRouter, GShardRouter, SwitchRouter, TopKRouter

Answer = Callable[[Tensor], Tensor]


def leaks(answer: Answer, tokens: Tensor, other: Tensor) -> Tensor:
    before, moved = answer(tokens), []
    for t in range(len(tokens)):
        changed = torch.cat([tokens[: t + 1], other[t + 1 :]])
        moved.append((answer(changed)[t] != before[t]).any())
    return torch.stack(moved)


@dataclass(frozen=True)
class Named:
    """A function that a verdict can show."""

    name: str
    function: Answer

    def __call__(self, tokens: Tensor) -> Tensor:
        return self.function(tokens)

    def __repr__(self) -> str:
        return self.name


def _routers() -> Iterator[Named]:
    """Of logits for three experts: the weights of all tokens."""
    for name, router in {
        "Mixtral": TopKRouter(1, 3),
        "Switch with little room": SwitchRouter(1, 3, capacity_factor=0.5),
        "GShard with little room": GShardRouter(
            1, 3, capacity_factor=0.5, second_expert_policy="all"
        ),
        "expert choice": ExpertChoiceRouter(1, 3, capacity_factor=1.0),
    }.items():
        yield Named(name, _weights_of(router.eval()))


def _weights_of(router: nn.Module) -> Answer:
    return lambda logits: router.route(logits).dense()


def _others() -> Iterator[Named]:
    yield Named("a look one ahead", lambda x: x + x.roll(-1, 0) * _not_last(x, 1))
    yield Named("a look two ahead", lambda x: x + x.roll(-2, 0) * _not_last(x, 2))
    yield Named("a sum of all before", lambda x: x.cumsum(dim=0))


def _not_last(x: Tensor, count: int) -> Tensor:
    return (torch.arange(len(x)) < len(x) - count)[:, None]


def _cases() -> Iterator[tuple[Answer, Tensor, Tensor]]:
    draw = torch.Generator().manual_seed(2022)
    for size, answers in ((4, _others()), (6, _routers()), (9, _routers())):
        for answer in answers:
            tokens, other = torch.randint(-9, 9, (2, size, 3), generator=draw) / 4
            yield answer, tokens, other


EXERCISES = [
    Exercise(
        "05b.1",
        title="find the leak",
        statement=(
            "`answer` maps T tokens [T, d] to T answers [T, n]: a router's weights, or"
            " a model's outputs. Tell for every t whether answer t moves when all"
            " tokens behind t, and only those, are taken from `other` [T, d]. Answer"
            " with a bool [T]. Leave `tokens` as they are."
        ),
        lines=5,
        hint=(
            "torch.cat([tokens[: t + 1], other[t + 1 :]]) is the text with another"
            " future. Compare row t of two answers; a leak is any difference at all."
        ),
        solution=leaks,
        cases=_cases(),
        mistakes={
            "token t is replaced as well, so its answer moves anyway: start at t + 1": (
                mistakes.itself_too
            ),
            "the token just behind t stays: start at t + 1, not at t + 2": (
                mistakes.one_too_late
            ),
            "you replace what stands before t: to look back is allowed": (
                mistakes.the_past
            ),
            "you replace one token behind t: the leak may come from any of them": (
                mistakes.the_next_only
            ),
            "you replace the last token only: the leak may come from any behind t": (
                mistakes.the_last_only
            ),
            "you write into tokens: from the second t on both texts are the same": (
                mistakes.in_place
            ),
            "you compare answer t + 1, whose own token has changed: compare row t": (
                mistakes.the_next_answer
            ),
            "it is the wrong way round: True where the answer moves": (
                mistakes.who_stays
            ),
        },
        level="warm-up",
    ),
]

ENTER_RACE = Challenge("05b.2", "enter the race with your own router")
CHALLENGES = (ENTER_RACE,)
