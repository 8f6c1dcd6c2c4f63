"""What Lepikhin et al. (2020) say of experts and languages, on the name memory."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from moe_lib.course import measurements_03_lookup as long
from moe_lib.course.claims import Claim, with_origin
from moe_lib.course.columns import Columns
from moe_lib.course.evidence import Below, Exact, Near, Share
from moe_lib.course.language_sharing import Sharing, sharings_from
from moe_lib.course.lookup_setup import Setup
from moe_lib.course.measurements import stored
from moe_lib.course.measurements_03_lookup import best_name

PAPER = "Lepikhin et al. 2020"
POINTS = 3.0  # of a hundred facts: the margin of "as many as"


def surplus(base: Setup) -> int:
    """FLOPs of a name in the mixture's layers, router included, beyond the dense."""
    return base.but(arm="mixture").flops - base.but(arm="dense").flops


def arithmetic_claim(widths: Sequence[int] = long.WIDTHS.config["widths"]) -> Claim:
    """By accounting, at every width of the stored runs."""
    extra = [surplus(long.at_width(long.FULL, width)) for width in widths]
    return Claim(
        "M3.names-arithmetic", "the mixture multiplies no more for a name than the"
        " dense model (router included)", f"{PAPER}, section 2.1",
        "conditional computation",
        Exact(float(sum(e > 0 for e in extra)), len(extra), "widths"),
    )  # fmt: skip


def names_claim(columns: Columns) -> Claim:
    """On dense and mixture alone: a chapter's own runs will do."""
    dense, mixture = (best_name(columns, arm) for arm in ("dense", "mixture"))
    return Claim(
        "M3.names", "experts recall more names than a dense model at equal arithmetic"
        " (per cent of the facts)", f"{PAPER}, figure 6", "more experts, higher BLEU",
        Below(columns[f"{dense}: all"], columns[f"{mixture}: all"], "%", 1),
    )  # fmt: skip


def arm_claims(columns: Columns) -> list[Claim]:
    """On all arms of the stored runs, each at its best learning rate."""
    best = {arm: best_name(columns, arm) for arm in long.NAMES.config["arms"]}

    def of(arm: str, part: str) -> Tensor:
        return columns[f"{best[arm]}: {part}"]

    def gain(part: str) -> Tensor:
        return of("mixture", part) - of("dense", part)

    return [
        names_claim(columns),
        Claim(
            "M3.names-time", "and more than the dense model after twice as many steps"
            " (about the mixture's time)", f"{PAPER}, table 3",
            "cheaper and better", Below(of("dense, twice as long", "all"),
                                        of("mixture", "all"), "%", 1),
        ),
        Claim(
            "M3.names-parameters", f"and as many as a dense model of as many"
            f" parameters, which multiplies more (here: within {POINTS:g} points)",
            "the usual expectation", "as many",
            Near(of("wide", "all"), of("mixture", "all"), "%", 1, margin=POINTS),
        ),
        Claim(
            "M3.names-resource", "experts help languages with much data more than"
            " those with little (here: points gained on dense, low and high)",
            f"{PAPER}, section 4.4", "stated",
            Below(gain("low"), gain("high"), "points", 1),
        ),
        Claim(
            "M3.names-unseen", "memory is not generalisation: names never seen do not"
            f" profit (here: within {POINTS:g} points)", "for comparison", "",
            Near(of("dense", "unseen"), of("mixture", "unseen"), "%", 1,
                 margin=POINTS),
        ),
        Claim(
            "M3.names-roomy", "capacity 2N/E and the lottery for the second expert cost"
            f" no quality (here: within {POINTS:g} points of twice the room and no"
            " lottery)", f"{PAPER}, section 2.2", "implied",
            Near(of("mixture", "all"), of("roomy mixture", "all"), "%", 1,
                 margin=POINTS),
        ),
    ]  # fmt: skip


def width_claim(columns: Columns) -> Claim:
    """On the stored widths: base width against twice that."""
    gap = {
        width: columns[f"{best_name(columns, f'{width}, mixture')}: all"]
        - columns[f"{best_name(columns, f'{width}, dense')}: all"]
        for width in (16, 32)
    }
    return Claim(
        "M3.names-width", "where a dense model has memory enough, experts gain little"
        " (here: points gained at width 32 and at 16)", "for comparison", "",
        Below(gap[32], gap[16], "points", 1),
    )  # fmt: skip


def sharing_claims(trained: Sequence[Sharing]) -> list[Claim]:
    """On who shares experts, one `Sharing` for each trained mixture."""
    source = "Shazeer et al. 2017; Lepikhin et al. 2020"
    return [
        Claim(
            "M3.languages-script", "languages of one script share experts (here:"
            " Jensen-Shannon bits of Latin pairs, and of Latin with another)",
            source, "stated of related tasks",
            Below([one.mean_distance(same_script=True) for one in trained],
                  [one.mean_distance(same_script=False) for one in trained],
                  "bits", 3),
        ),
        Claim(
            "M3.languages-nearest", "French shares most with Spanish",
            "for comparison", "",
            Share(tuple(one.nearest["fr"] == "es" for one in trained), 0.8),
        ),
    ]  # fmt: skip


def stored_claims() -> list[Claim]:
    """All of the above that are measured over seeds, from the long measurements.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    arms, widths, languages = map(stored, long.MEASUREMENTS)
    trained = sharings_from(languages, "trained")
    judged = (
        (arms, arm_claims(arms)),
        (widths, [width_claim(widths)]),
        (languages, sharing_claims(trained)),
    )
    return [claim for pair in judged for claim in with_origin(*pair)]
