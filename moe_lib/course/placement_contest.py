"""Exercise 03b.2: the reader's placements, scored against the best there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from moe_lib.course.checking import SECONDS, Verdict
from moe_lib.course.checking.calling import attempt, not_written, unfit
from moe_lib.course.contest import Jury, recorded
from moe_lib.course.exercises_03b import PLACEMENT
from moe_lib.course.mistakes_03b import MISTAKES
from moe_lib.course.placements import all_crossings, cases, crossings
from moe_lib.course.table import Table

#: Routers whose co-activation is placed; a reader sees that of others in the chapter.
SEEDS = tuple(range(100, 112))
ENOUGH = 0.95
JURY = Jury(PLACEMENT)


@dataclass(frozen=True)
class Placed:
    """One case: tokens that cross by the reader's placement, by the best one, and on
    average over all placements."""

    together: Tensor
    devices: int
    yours: int
    best: int
    mean: float

    @property
    def score(self) -> float:
        """1 for the best placement, 0 for one by lot."""
        return (self.mean - self.yours) / (self.mean - self.best)


@dataclass(frozen=True, repr=False)
class Score:
    """The verdict, and the cases where every placement was a valid one."""

    verdict: Verdict
    placed: Sequence[Placed] = ()

    def __repr__(self) -> str:
        return repr(self.verdict)

    def _repr_html_(self) -> str:
        box = self.verdict._repr_html_()
        if not self.placed:
            return box
        head = ("experts", "devices", "crossings, yours", "best", "by lot", "score")
        rows = [
            (
                len(p.together),
                p.devices,
                p.yours,
                p.best,
                f"{p.mean:.0f}",
                f"{p.score:.0%}",
            )
            for p in self.placed
        ]  # fmt: skip
        return box + Table(head, rows, "")._repr_html_()


def score_placement(
    place: Callable[[Tensor, int], Tensor], *, seeds: Sequence[int] = SEEDS
) -> Score:
    """Place the experts of hidden routers; compare with every placement there is.

    Args:
        place: (together ``[E, E]`` int64, devices) -> device of each expert, ``[E]``
            whole numbers, equally many experts on each.

    Returns:
        What the cell shows. A mean score of 95 % passes and is recorded.
    """
    if problem := unfit(place, ["together", "devices"]):
        return Score(recorded(JURY.fails(problem)))
    placed = []
    for together, devices in cases(seeds):
        got = attempt(place, (together, devices), SECONDS)
        if not_written(place, got):
            return Score(JURY.not_written)
        if got.error:
            verdict = JURY.fails(got.problem(SECONDS), got.error, place)
            return Score(recorded(verdict))
        if fault := placement_fault(got.value, len(together), devices):
            return Score(recorded(JURY.fails(f"refused: {fault}")))
        every = all_crossings(together, devices)
        yours = crossings(together, torch.as_tensor(got.value))
        best, mean = int(every.min()), every.double().mean().item()
        placed.append(Placed(together, devices, yours, best, mean))
    return Score(recorded(judge(placed)), placed)


def placement_fault(device: object, num_experts: int, devices: int) -> str:
    """Why ``device`` is no placement; "" if it is one."""
    try:
        device = torch.as_tensor(device)
    except (TypeError, ValueError, RuntimeError):
        return f"it answers a {type(device).__name__}: give a whole number an expert"
    if device.shape != (num_experts,) or device.is_floating_point():
        return (
            f"it answers {device.dtype} of shape {list(device.shape)}: give the number"
            f" of a device for each of {num_experts} experts"
        )
    held = [int((device == d).sum()) for d in range(devices)]
    if sum(held) < num_experts:
        return f"it names a device that is not there: give 0 to {devices - 1}"
    if len(set(held)) > 1:
        return (
            f"the devices hold {', '.join(map(str, held))} experts: give each"
            f" {num_experts // devices}, or one runs out of memory"
        )
    return ""


def judge(placed: Sequence[Placed]) -> Verdict:
    """The verdict on the mean score, with the likely reason where it is low."""
    score = sum(p.score for p in placed) / len(placed)
    told = f"{score:.0%} of what the best placements save over those by lot"
    if score >= ENOUGH:
        return JURY.passes(told)
    verdict = JURY.fails(f"{told}; {ENOUGH:.0%} passes")
    return replace(verdict, likely=_reason(placed))


def _reason(placed: Sequence[Placed]) -> str:
    """The known mistake that crosses as often in every case; "" if there is none."""
    for words, mistake in MISTAKES.items():
        if all(p.yours == _by(mistake, p) for p in placed):
            return words
    return ""


def _by(place: Callable[[Tensor, int], Tensor], case: Placed) -> int:
    return crossings(case.together, place(case.together, case.devices))
