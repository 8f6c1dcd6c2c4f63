"""What Jacobs et al. (1991) claim, to be judged by the runs of chapter 1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moe_lib.course.claims import Claim
from moe_lib.course.interference import Interference
from moe_lib.course.vowel_race import RaceResult

TABLE, HERE = "Jacobs et al. 1991, table 1", "this chapter"


def epochs_claims(
    race: Sequence[RaceResult], doubled: Sequence[RaceResult], best: Sequence[Tensor]
) -> list[Claim]:
    """On speed.

    race: the four systems of table 1. doubled: the two BP systems at twice the step.
    best: epochs of 4 experts and of BP with 6 hidden units, each at its best step.
    """
    four, eight, bp6, bp12 = (r.epochs for r in race)
    return [
        Claim.compare(
            "M1.4-faster",
            "4 experts need fewer epochs than BP with 6 hidden units, at one step size",
            TABLE, "1124 < 2209", four, bp6,
        ),
        Claim.compare(
            "M1.8-faster",
            "8 experts need fewer epochs than BP with 12 hidden units, likewise",
            TABLE, "1083 < 2435", eight, bp12,
        ),
        Claim.compare(
            "M1.any-step",
            "4 experts also win if BP's step is doubled (its error without the half)",
            HERE, "not stated", four, doubled[0].epochs,
        ),
        Claim.compare(
            "M1.best-step",
            "4 experts also win with each system at its own best step",
            HERE, "not stated", *best,
        ),
        Claim.compare(
            "M1.8-beats-4", "8 experts are faster than 4",
            TABLE, "1083 < 1124", eight, four,
        ),
        Claim.compare(
            "M1.bp-order", "BP with 6 hidden units is faster than with 12",
            TABLE, "2209 < 2435", bp6, bp12,
        ),
    ]  # fmt: skip


def other_claims(
    race: Sequence[RaceResult],
    competitive: RaceResult,
    cooperative: RaceResult,
    damage: Interference,
    *,
    gradient_gap: float,
    fitting_order: Tensor,
) -> list[Claim]:
    """On gradients, accuracy, survivors and interference.

    gradient_gap: largest difference of a hand-written gradient from autograd's.
    fitting_order: a bool per random case, whether the best-fitting expert learns
    fastest under 1.3 and the worst under 1.2.
    """
    four, eight, bp6, _ = race
    survivors = torch.cat([four.survivors, eight.survivors])
    page = "Jacobs et al. 1991, p. "
    return [
        Claim.exact(
            "M1.gradients", "the gradients 1.4 and 1.5", page + "81-82", "derived",
            f"{gradient_gap:.0e} from autograd's, at most", gradient_gap < 1e-10,
        ),
        Claim.exact(
            "M1.best-fitting",
            "1.3 adapts the best-fitting expert fastest, 1.2 the worst (while no expert"
            " is closer than one standard deviation)",
            page + "82", "argued",
            f"{int(fitting_order.sum()):,} of {len(fitting_order):,} random cases",
            bool(fitting_order.all()),
        ),
        Claim.same(
            "M1.accuracy",
            "mixture and BP name the same share of unheard speakers' vowels,"
            " within 2 points",
            TABLE, "90 and 90", 100 * four.test, 100 * bp6.test,
            margin=2.0, unit="%", digits=1,
        ),
        Claim.share(
            "M1.survivors", "two or three experts survive, of 4 and of 8",
            page + "87", "in all simulations", (survivors >= 2) & (survivors <= 3),
        ),
        Claim.compare(
            "M1.1.3-vs-1.2", "1.3 is faster than 1.2, gradients of equal size",
            page + "81", "better performance", four.epochs, competitive.epochs,
        ),
        Claim.compare(
            "M1.cooperation", "1.3 leaves fewer experts in use than 1.1",
            page + "80", "argued", four.survivors.double(),
            cooperative.survivors.double(), digits=2,
        ),
        Claim.compare(
            "M1.interference",
            "a mixture of weak experts suffers less interference than one net",
            page + "79", "argued", damage.damage("weak"), damage.damage("net"),
            digits=2,
        ),
    ]  # fmt: skip
