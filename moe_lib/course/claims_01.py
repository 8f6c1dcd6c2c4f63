"""What Jacobs et al. (1991) claim, to be judged by the runs of chapter 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from moe_lib.course.claims import Claim, with_origin
from moe_lib.course.evidence import Below, Exact, Near, Share
from moe_lib.course.measurements import stored
from moe_lib.course.measurements_01 import (
    BEST_STEP,
    INTERFERENCE,
    RACE,
    RACES,
    STEPS,
)
from moe_lib.course.stored_results import StoredResult

TABLE, HERE = "Jacobs et al. 1991, table 1", "this chapter"
PAGE = "Jacobs et al. 1991, p. "


class Row(Protocol):
    """What is needed of a `RaceResult`: a value per run, each ``[S]``."""

    epochs: Tensor
    test: Tensor
    survivors: Tensor


@dataclass(frozen=True, eq=False)
class StoredRow:
    """The same, out of a stored result."""

    result: StoredResult
    name: str

    def __getattr__(self, column: str) -> Tensor:
        return self.result[f"{self.name}: {column}"]


def race_claims(
    race: Sequence[Row], doubled: Sequence[Row], others: Sequence[Row]
) -> list[Claim]:
    """On speed, accuracy and survivors.

    race: the four systems of table 1. doubled: the two BP systems at twice the step.
    others: 4 experts under 1.2 and under 1.1.
    """
    four, eight, bp6, bp12 = race
    competitive, cooperative = others
    survivors = torch.cat([four.survivors, eight.survivors])
    return [
        Claim(
            "M1.4-faster",
            "4 experts need fewer epochs than BP with 6 hidden units, at one step size",
            TABLE, "1124 < 2209", Below(four.epochs, bp6.epochs),
        ),
        Claim(
            "M1.8-faster",
            "8 experts need fewer epochs than BP with 12 hidden units, likewise",
            TABLE, "1083 < 2435", Below(eight.epochs, bp12.epochs),
        ),
        Claim(
            "M1.any-step",
            "4 experts also win if BP's step is doubled (its error without the half)",
            HERE, "not stated", Below(four.epochs, doubled[0].epochs),
        ),
        Claim(
            "M1.8-beats-4", "8 experts are faster than 4",
            TABLE, "1083 < 1124", Below(eight.epochs, four.epochs),
        ),
        Claim(
            "M1.bp-order", "BP with 6 hidden units is faster than with 12",
            TABLE, "2209 < 2435", Below(bp6.epochs, bp12.epochs),
        ),
        Claim(
            "M1.accuracy",
            "mixture and BP name the same share of unheard speakers' vowels,"
            " within 2 points",
            TABLE, "90 and 90",
            Near(100 * four.test, 100 * bp6.test, "%", digits=1, margin=2.0),
        ),
        Claim(
            "M1.survivors", "two or three experts survive, of 4 and of 8",
            PAGE + "87", "in all simulations",
            Share((survivors >= 2) & (survivors <= 3)),
        ),
        Claim(
            "M1.1.3-vs-1.2", "1.3 is faster than 1.2, gradients of equal size",
            PAGE + "81", "better performance", Below(four.epochs, competitive.epochs),
        ),
        Claim(
            "M1.cooperation", "1.3 leaves fewer experts in use than 1.1",
            PAGE + "80", "argued",
            Below(four.survivors, cooperative.survivors, digits=2),
        ),
    ]  # fmt: skip


def step_claim(mixture: Tensor, bp: Tensor) -> Claim:
    """Epochs ``[S]`` of 4 experts and of BP with 6 hidden units, at their best."""
    return Claim(
        "M1.best-step", "4 experts also win with each system at its own best step",
        HERE, "not stated", Below(mixture, bp),
    )  # fmt: skip


def interference_claim(weak: Tensor, net: Tensor) -> Claim:
    """Damage ``[S]`` to task A in a mixture of weak experts and in one net."""
    return Claim(
        "M1.interference",
        "a mixture of weak experts suffers less interference than one net",
        PAGE + "79", "argued", Below(weak, net, digits=2),
    )  # fmt: skip


def exact_claims(gradient_gap: float, fitting_order: Tensor) -> list[Claim]:
    """On gradients.

    gradient_gap: largest difference of a hand-written gradient from autograd's.
    fitting_order: a bool per random case, whether the best-fitting expert learns
    fastest under 1.3 and the worst under 1.2.
    """
    return [
        Claim(
            "M1.gradients", "the gradients 1.4 and 1.5", PAGE + "81-82", "derived",
            Exact(gradient_gap, 50, "random cases, against autograd", 1e-10),
        ),
        Claim(
            "M1.best-fitting",
            "1.3 adapts the best-fitting expert fastest, 1.2 the worst (while no expert"
            " is closer than one standard deviation)",
            PAGE + "82", "argued",
            Exact(int((~fitting_order).sum()), len(fitting_order), "random cases"),
        ),
    ]  # fmt: skip


def stored_claims() -> list[Claim]:
    """All of the above but the exact ones, from the long measurements.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    race, steps, damage = stored(RACE), stored(BEST_STEP), stored(INTERFERENCE)
    rows = [StoredRow(race, entry["name"]) for entry in RACES]
    best = [_at_best_step(steps, name) for name in (rows[0].name, rows[2].name)]
    return [
        *with_origin(race, race_claims(rows[:4], rows[4:6], rows[6:])),
        *with_origin(steps, [step_claim(*best)]),
        *with_origin(damage, [interference_claim(damage["weak"], damage["net"])]),
    ]


def _at_best_step(result: StoredResult, system: str) -> Tensor:
    """Epochs ``[S]`` at the step with the fewest, among those where all arrive."""
    runs = [result[f"{system}: lr {lr:g}"] for lr in STEPS]
    return min((r for r in runs if r.isfinite().all()), key=torch.mean)
