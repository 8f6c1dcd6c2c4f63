"""What Zhou et al. (2022) say of the balancing loss: too small, or too large.

The criteria were written down before its numbers were seen. "Small" is 0, "usual" 0.01,
"large" 1; expert choice is compared with the coefficient that is best on average.
"""

from __future__ import annotations

from moe_lib.course.claims import Claim, with_origin
from moe_lib.course.columns import Columns
from moe_lib.course.evidence import BITS, Below, Exact, Share
from moe_lib.course.measurements import stored
from moe_lib.course.measurements_05_dilemma import CHOICE, COEFFICIENTS

PITFALLS = "Zhou et al. 2022, section 3.1"
ARMS = tuple(f"{w:g}" for w in COEFFICIENTS)


def best_coefficient(columns: Columns) -> str:
    """The one whose bits are fewest, mean over the seeds."""
    return min(ARMS, key=lambda arm: columns[f"{arm}: bits"].mean().item())


def dilemma_claims(columns: Columns) -> list[Claim]:
    """As `measure_dilemma` gives the columns."""

    def last(what: str) -> dict:
        return {arm: columns[f"{arm}: {what}"][:, -1] for arm in (*ARMS, CHOICE)}

    bits, busiest, alike = map(last, ("bits", "max_over_mean", "similarity"))
    falls = (busiest["0"] > busiest["0.01"]) & (busiest["0.01"] > busiest["1"])
    dropped = {arm: 100 * columns[f"{arm}: dropped"] for arm in ("0", "0.01")}
    best = best_coefficient(columns)
    return [
        Claim(
            "M5.dilemma-small", "too small a coefficient leaves the load uneven (here:"
            " busiest expert over the mean, 0.01 against 0)", PITFALLS, "stated",
            Below(busiest["0.01"], busiest["0"], "times", 2),
        ),
        Claim(
            "M5.dilemma-falls", "the load evens as the coefficient grows (here: runs"
            " in which the busiest expert has less from 0 to 0.01 to 1)", PITFALLS,
            "stated", Share(falls),
        ),
        Claim(
            "M5.dilemma-drops", "an uneven load drops tokens (here: per cent of all"
            " choices in training, those that the lottery declines included, 0.01"
            " against 0)", PITFALLS, "20 to 40 % early",
            Below(dropped["0.01"], dropped["0"], "%", 1),
        ),
        Claim(
            "M5.dilemma-large", "too large a coefficient costs quality (here: 0.01"
            " against 1)", PITFALLS, "stated",
            Below(bits["0.01"], bits["1"], BITS, 3),
        ),
        Claim(
            "M5.dilemma-alike", "and makes experts alike (here: mean cosine of their"
            " answers, 0.01 against 1)", PITFALLS, "stated",
            Below(alike["0.01"], alike["1"], "", 3),
        ),
        Claim(
            "M5.dilemma-even", "expert choice needs no coefficient (here: runs whose"
            " busiest expert serves other than the mean)",
            "Zhou et al. 2022, section 3.2", "by construction",
            Exact(float((busiest[CHOICE] != 1).sum()), len(busiest[CHOICE]), "runs"),
        ),
        Claim(
            "M5.dilemma-best", "and learns more than any (here: against the best on"
            " average of six)", "Zhou et al. 2022, table 2",
            "84.0 against 82.2 %", Below(bits[CHOICE], bits[best], BITS, 3),
        ),
    ]  # fmt: skip


def stored_claims() -> list[Claim]:
    """From the stored measurement.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    result = stored("05-dilemma")
    return with_origin(result, dilemma_claims(result))
