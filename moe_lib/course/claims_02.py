"""What Shazeer et al. (2017) claim, to be judged by the runs of chapter 2."""

from __future__ import annotations

import torch

from moe_lib.course import measurements_02 as long
from moe_lib.course.claims import Claim, with_origin
from moe_lib.course.columns import Columns
from moe_lib.course.evidence import Below, Cited, Near
from moe_lib.course.measurements import stored

PAPER = "Shazeer et al. 2017"
TABLE_6, TABLE_7 = f"{PAPER}, table 6", f"{PAPER}, table 7"
NONE, IMPORTANCE, LOAD, BOTH, STRONG = "0, 0", "0.2, 0", "0, 0.2", "0.1, 0.1", "1, 1"


def balance_claims(rows: Columns) -> list[Claim]:
    """On the rows of table 6; ``rows`` has the columns of `balance_columns`."""

    def below(low: str, high: str, column: str, digits: int = 2) -> Below:
        return Below(rows[f"{low}: {column}"], rows[f"{high}: {column}"], digits=digits)

    tie = rows[f"{IMPORTANCE}: perplexity"] / rows[f"{LOAD}: perplexity"]
    strong = rows[f"{STRONG}: perplexity"] / rows[f"{BOTH}: perplexity"]
    return [
        Claim(
            "M2.collapse", "without the losses a few experts take nearly all tokens"
            " (CV of the load)", TABLE_6, "0.05 < 3.01", below(BOTH, NONE, "cv_load"),
        ),
        Claim(
            "M2.busiest", "and the busiest expert has many times its share (max over"
            " mean)", TABLE_6, "1.14 < 17.8", below(BOTH, NONE, "max_over_mean", 1),
        ),
        Claim(
            "M2.importance", "the importance loss evens out the importance (CV)",
            TABLE_6, "0.06 < 3.04", below(IMPORTANCE, NONE, "cv_importance"),
        ),
        Claim(
            "M2.load", "the load loss evens out the load (CV)", TABLE_6,
            "0.04 < 3.01", below(LOAD, NONE, "cv_load"),
        ),
        Claim(
            "M2.own-importance", "the importance is evener under its own loss than"
            " under the load loss (CV)", TABLE_6, "0.06 < 0.22",
            below(IMPORTANCE, LOAD, "cv_importance"),
        ),
        Claim(
            "M2.own-load", "the load is evener under its own loss than under the"
            " importance loss (CV)", TABLE_6, "0.04 < 0.17",
            below(LOAD, IMPORTANCE, "cv_load"),
        ),
        Claim(
            "M2.own-busiest", "it is the load loss that holds down the busiest expert"
            " (max over mean)", TABLE_6, "1.15 < 1.47",
            below(LOAD, IMPORTANCE, "max_over_mean"),
        ),
        Claim(
            "M2.stronger", "ten times the coefficients, and the load is evener still"
            " (CV)", TABLE_6, "0.02 < 0.05", below(STRONG, BOTH, "cv_load"),
        ),
        Claim(
            "M2.price", "without the losses the perplexity is worse", TABLE_6,
            "35.6 < 39.8", below(BOTH, NONE, "perplexity"),
        ),
        Claim(
            "M2.tie", "one loss is as good as the other (here: perplexities within"
            " 2 %)", TABLE_6, "35.6 and 35.7",
            Near(tie, torch.ones_like(tie), digits=3, margin=0.02),
        ),
        Claim(
            "M2.free", "ten times the coefficients cost no quality (here: perplexities"
            " within 1 %)", TABLE_6, "35.6 and 35.7",
            Near(strong, torch.ones_like(strong), digits=3, margin=0.01),
        ),
    ]  # fmt: skip


def noise_claim(rows: Columns) -> Claim:
    """On the rows without losses, with noise and without."""
    return Claim(
        "M2.noise", "the noise helps with balance (CV of the load, no losses)",
        f"{PAPER}, section 2.1", "stated",
        Below(rows[f"{NONE}: cv_load"], rows["no noise: cv_load"], digits=2),
    )  # fmt: skip


def size_claims(sizes: Columns, name: str = "M2", dense: str = "1") -> list[Claim]:
    """On 1, 4, 16 and 64 experts; ``sizes`` has the columns of `size_columns`."""
    model = "" if name == "M2" else " (LSTM - MoE - LSTM)"
    ladder = ((dense, "4", "46.1 > 45.0"), ("4", "16", "45.0 > 39.7 (32 experts)"),
              ("16", "64", "39.7 > 35.7 (256 experts)"))  # fmt: skip
    return [
        Claim(
            f"{name}.experts-{more}", f"{more} experts predict better than"
            f" {'one' if less == dense else less}, at equal arithmetic{model}",
            TABLE_7, paper,
            Below(sizes[f"{more}: perplexity"], sizes[f"{less}: perplexity"], digits=2),
        )
        for less, more, paper in ladder
    ]  # fmt: skip


def cited_claims() -> list[Claim]:
    """Out of reach on two cores."""
    scale = "a thousand times our text and parameters"
    return [
        Claim(
            "M2.budget", "the low-budget mixture beats the best published model of ten"
            " epochs with 6 % of its computation", f"{PAPER}, table 1", "34.1 < 34.7",
            Cited(f"{scale}; here all models have one budget"),
        ),
        Claim(
            "M2.137B", "from 100 billion words, up to 65,536 experts still gain, and"
            " 131,072 lose", f"{PAPER}, table 8", "28.9, then 29.2", Cited(scale),
        ),
        Claim(
            "M2.translation", "2,048 experts translate better than the dense system"
            " with less than half its operations", f"{PAPER}, section 5.3",
            "BLEU 40.56 > 39.22 (French)", Cited("no such corpus offline"),
        ),
        Claim(
            "M2.languages", "one mixture for many languages beats the dense"
            " multilingual system on 11 of 12 pairs", f"{PAPER}, section 5.4",
            "up to +5.84 BLEU", Cited("chapter 3 trains its own translator"),
        ),
    ]  # fmt: skip


def stored_claims() -> list[Claim]:
    """All of the above that are measured over seeds, from the long measurements.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    table, sizes, lstm = map(stored, (long.TABLE_6, long.SIZES, long.LSTM_SIZES))
    judged = [(table, [*balance_claims(table), noise_claim(table)])]
    for result, name in ((sizes, "M2"), (lstm, "M2.lstm")):
        judged.append((result, size_claims(result, name, long.best_name(result, 1))))
    return [claim for pair in judged for claim in with_origin(*pair)]
