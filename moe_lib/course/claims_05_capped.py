"""What is claimed of capped expert choice, judged on programmes drawn at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from moe_lib.course.capped_programme import (
    WEIGHT,
    best_value,
    by_library,
    constraints,
    example_scores,
)
from moe_lib.course.claims import Claim
from moe_lib.course.evidence import Exact
from moe_lib.routers import ExpertChoiceRouter

SOURCE = "Zhou et al. 2022, capped expert choice"
ROUNDS = 100
COLUMN = 0.05  # experts; "some hundredths", as `capped_assignment` says
VALUE = 5e-3  # of the best: the entropy takes a little, and so do too few rounds
FULL = 1e-6  # of a slot


def capped_claims(seeds: int = 4) -> list[Claim]:
    """Of the library's solver after the paper's 100 rounds, and of its router.

    Where the cap is the average, every token needs all of it: by itself, since
    solvers are slowest there.
    """
    above, average = (
        [
            constraints(
                by_library(scores, slots, cap, WEIGHT, ROUNDS),
                scores, slots, cap, best_value(scores, slots, cap),
            )
            for scores, slots, cap in programmes(factor_and_caps, seeds)
        ]
        for factor_and_caps in (((1, 2), (2, 3)), ((1, 1), (2, 2)))
    )  # fmt: skip
    rows = max(c.row for c in above + average)
    claims = [
        Claim(
            "M5.capped-rows", "each expert's row sums to k (here: after 100 rounds, in"
            " slots)", SOURCE, "k",
            Exact(rows, len(above + average), "programmes", FULL),
        ),
        Claim(
            "M5.capped-balance", "capped at 2 and at 3, every expert is exactly full"
            " (here: CV of the load 0, all rows kept)", SOURCE, "by construction",
            Exact(*uneven(seeds)),
        ),
    ]  # fmt: skip
    for end, where, found in (
        ("", "cap above the average", above),
        ("-average", "cap = the average", average),
    ):
        column = max(c.column for c in found)
        value = max(abs(1 - c.value) for c in found)
        claims += [
            Claim(
                f"M5.capped-columns{end}", "each token's column sums to at most b"
                f" (here: {where}, after 100 rounds; in experts)", SOURCE, "b",
                Exact(column, len(found), "programmes", COLUMN),
            ),
            Claim(
                f"M5.capped-value{end}", "the plan maximises the scores under the"
                f" constraints (here: {where}, after 100 rounds; off a linear"
                " programme's best, relative)", SOURCE, "defined",
                Exact(value, len(found), "programmes", VALUE),
            ),
        ]  # fmt: skip
    return claims


def programmes(
    factors_and_caps: Sequence[tuple[int, int]], seeds: int
) -> Iterator[tuple[Tensor, int, int]]:
    """Scores ``[E, T]``, slots and cap, for flat, usual and sharp scores."""
    for seed in range(seeds):
        for sharpness in (0.5, 1.0, 3.0):
            scores = example_scores(sharpness=sharpness, seed=seed)
            experts, tokens = scores.shape
            for factor, cap in factors_and_caps:
                yield scores, factor * tokens // experts, cap


def uneven(seeds: int) -> tuple[float, int, str]:
    """Routings of a capped router whose experts are not all exactly full."""
    wrong = count = 0
    for seed in range(seeds):
        scores = example_scores(seed=seed)
        for cap in (2, 3):
            router = ExpertChoiceRouter(1, len(scores), max_experts_per_token=cap)
            routing = router.route(scores.T.log())
            full = routing.tokens_per_expert.eq(routing.capacity).all()
            wrong += not (full and routing.kept.all())
            count += 1
    return float(wrong), count, "routings"
