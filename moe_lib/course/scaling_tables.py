"""Experts at equal arithmetic, and table 1 of Fedus et al. (2021) beside ours."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from moe_lib.course.scaling_ladder import Ladder
from moe_lib.course.table import Table

MIB = 2**20
NOT_REACHED = "not reached"


@dataclass(frozen=True)
class PaperRow:
    """A row of table 1: 128 experts, 32 cores of TPU v3, 100,000 steps.

    kind: our arm's: "dense", "large", "top-2", "switch"; "" where there is none.
    quality: negative log perplexity. hours: to one of -1.5. speed: examples a second.
    """

    name: str
    kind: str
    factor: float | None
    quality: float
    hours: float | None
    speed: int


PAPER = (
    PaperRow("T5-Base", "dense", None, -1.731, None, 1600),
    PaperRow("T5-Large", "large", None, -1.550, 131.1, 470),
    PaperRow("MoE-Base", "top-2", 2, -1.547, 68.7, 840),
    PaperRow("Switch-Base", "switch", 2, -1.554, 72.8, 860),
    PaperRow("MoE-Base", "top-2", 1.25, -1.559, 80.7, 790),
    PaperRow("Switch-Base", "switch", 1.25, -1.553, 65.0, 910),
    PaperRow("MoE-Base", "top-2", 1, -1.572, 80.1, 860),
    PaperRow("Switch-Base", "switch", 1, -1.561, 62.8, 1000),
    PaperRow("Switch-Base+", "", 1, -1.534, 67.6, 780),
)
NAMES = {"dense": "dense", "large": "large dense", "top-2": "top-2", "switch": "Switch"}


def our_arm(ladder: Ladder, row: PaperRow) -> str | None:
    """The arm that stands beside a row of the paper, if it was trained."""
    if row.kind in ("dense", "large"):
        return ladder.best(row.kind)
    return ladder.row(row.kind, row.factor) if row.kind else None


def speed_up_table(ladder: Ladder) -> Table:
    """A row for each model: its costs, its loss at the end, how much sooner it was
    where the dense one ends.

    Ratios are of the dense model's steps, or processor time, to those of the row.
    """
    large = ladder.best("large")
    arms = [ladder.dense, *ladder.rungs.values(), *([large] if large else [])]
    rows = [
        (
            arm,
            f"{ladder.parameters(arm):,}",
            f"{ladder.setups[arm].flops:,}",
            f"{ladder.memory(arm).total / MIB:.1f}",
            spread(ladder.bits(arm)[:, -1], 3),
            times(ladder.speed_up(arm, "steps")),
            times(ladder.speed_up(arm, "seconds")),
        )
        for arm in arms
    ]
    head = ("model", "parameters", "FLOPs a byte", "MiB a training step",
            "bits per byte", "steps: fewer by", "time: shorter by")  # fmt: skip
    return Table(head, rows, f"{len(rows)} models: costs, loss, steps and time saved")


def memory_table(ladder: Ladder) -> Table:
    """MiB of a training step by accounting: what experts add, and what they do not."""
    rows = []
    for arm in (ladder.dense, *ladder.rungs.values()):
        memory = ladder.memory(arm)
        parts = (memory.weights, memory.gradients, memory.optimiser, memory.activations)
        rows.append((arm, *(f"{part / MIB:.1f}" for part in (*parts, memory.total))))
    head = ("model", "weights", "gradients", "Adam", "activations", "MiB in all")
    return Table(head, rows, f"memory of a training step, {len(rows)} models")


def table_1(ladder: Ladder) -> Table:
    """Ours, mean ± standard deviation over seeds; behind the bar the paper's.

    Quality is the negative log perplexity in nats: of a byte here, of a piece of a
    word there. The threshold here is the loss that our dense model ends with.
    """
    rows = []
    for row in PAPER:
        arm = our_arm(ladder, row)
        ours = ("-",) * 4 if arm is None else _measured(ladder, arm)
        theirs = (
            negative(f"{row.quality:.3f}"),
            NOT_REACHED if row.hours is None else f"{row.hours:.1f}",
            f"{row.speed:,}",
        )
        pairs = (f"{a} | {b}" for a, b in zip(ours[1:], theirs, strict=True))
        name = f"{NAMES[row.kind]} | {row.name}" if row.kind else f"- | {row.name}"
        factor = "-" if row.factor is None else f"{row.factor:g}"
        rows.append((name, factor, ours[0], *pairs))
    head = ("here | paper", "capacity factor", "bits per byte", "quality",
            "seconds | hours to the threshold",
            "bytes | examples a second")  # fmt: skip
    return Table(head, rows, f"table 1, {len(rows)} rows side by side")


def _measured(ladder: Ladder, arm: str) -> tuple[str, str, str, str]:
    """Bits per byte, quality, seconds to the threshold, bytes a second."""
    bits = ladder.bits(arm)[:, -1]
    seconds = ladder.reached(arm, "seconds")
    return (
        spread(bits, 3),
        negative(spread(-math.log(2) * bits, 3)),
        spread(seconds, 1) if seconds.isfinite().all() else missing(seconds.isinf()),
        f"{ladder.bytes_per_second(arm).mean():,.0f}",
    )


def times(ratio: Tensor) -> str:
    """``[S]`` ratios, 0 for what was never reached."""
    return missing(ratio == 0) if (ratio == 0).any() else spread(ratio, 2)


def missing(never: Tensor) -> str:
    """In which runs ``[S]`` bool the level was not reached."""
    if never.all():
        return NOT_REACHED
    return f"{NOT_REACHED} in {int(never.sum())} of {len(never)}"


def spread(values: Tensor, digits: int) -> str:
    """Mean ± standard deviation over the seeds ``[S]``."""
    mean = f"{values.mean():.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {values.std():.{digits}f}"


def negative(number: str) -> str:
    """With a true minus."""
    return number.replace("-", "\N{MINUS SIGN}")
