"""What Switch says of the first weights, of exploration, and of overflow sent on."""

from __future__ import annotations

from torch import Tensor

from moe_lib.course import measurements_04b_start as long
from moe_lib.course.checkpoints import last_bits
from moe_lib.course.claims import Claim, with_origin
from moe_lib.course.columns import Columns
from moe_lib.course.evidence import BITS, Below, Exact, Near
from moe_lib.course.measurements import stored
from moe_lib.course.measurements_04b_start import AT_ONE, NOBODY

PAPER = "Fedus et al. 2021"
MARGIN = 0.03  # bits per byte: a hundredth of what a byte costs this early


def from_median(values: Tensor) -> Tensor:
    """``[S]``: how far each value is from the middle one.

    Two columns of these compare spreads, as the test of Brown and Forsythe does.
    """
    return (values - values.quantile(0.5)).abs()  # .median() takes the lower middle


def initialisation_claims(columns: Columns) -> list[Claim]:
    """On the columns of `measurements_04b_start.INITIALISATION`."""
    small, large = (last_bits(columns, f"scale {scale}") for scale in ("0.1", "1"))
    return [
        Claim(
            "M4.init-quality", "weights that start at scale 0.1 learn more in the first"
            " steps than at 1.0 (here: after 200 steps)", f"{PAPER}, table 3",
            "-2.72 against -3.60 after 3,500 steps", Below(small, large, BITS, 3),
        ),
        Claim(
            "M4.init-spread", "and differ less between seeds (here: distance of each"
            " seed from the middle one, after 200 steps)", f"{PAPER}, table 3",
            "SD 0.01 against 0.68",
            Below(from_median(small), from_median(large), BITS, 4),
        ),
    ]  # fmt: skip


def exploration_claims(columns: Columns) -> list[Claim]:
    """On the columns of `measurements_04b_start.EXPLORATION`."""
    bits = {arm: last_bits(columns, arm) for arm in long.ARMS}
    best, sampled, holes, jitter = (bits[way] for way in long.WAYS)
    others = best.maximum(holes).maximum(jitter)
    dropped = columns[f"{NOBODY}: dropped"]
    return [
        Claim(
            "M4.sampling-worst", "of four ways to explore, drawing the expert from the"
            " softmax is the worst (here: against the worst of the other three, seed"
            " by seed)", f"{PAPER}, appendix C", "-1.570 against -1.480",
            Below(others, sampled, BITS, 3),
        ),
        Claim(
            "M4.jitter", "input jitter does better than the best expert alone",
            f"{PAPER}, appendix C", "-1.468 against -1.471",
            Below(jitter, best, BITS, 3),
        ),
        Claim(
            "M4.input-dropout", "input dropout does worse than the best expert alone",
            f"{PAPER}, appendix C", "-1.480 against -1.471",
            Below(best, holes, BITS, 3),
        ),
        Claim(
            "M4.left-behind", "sending overflow on to the next best expert brings"
            f" nothing (here: capacity factor 1, within {MARGIN} bits per byte)",
            f"{PAPER}, appendix B", "no empirical benefit",
            Near(bits[NOBODY], bits[AT_ONE], BITS, 3, margin=MARGIN),
        ),
        Claim(
            "M4.left-behind-drops", "it drops hardly any token (here: none at a"
            " capacity factor of 1, in the whole training)", f"{PAPER}, appendix B",
            "virtually none", Exact(float((dropped > 0).sum()), len(dropped), "runs"),
        ),
    ]  # fmt: skip


def stored_claims() -> list[Claim]:
    """From the two long measurements.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    start, ways = stored(long.INITIALISATION), stored(long.EXPLORATION)
    return [
        *with_origin(start, initialisation_claims(start)),
        *with_origin(ways, exploration_claims(ways)),
    ]
