"""Switch's table 2 and ST-MoE's stability tables, each with our runs."""

from __future__ import annotations

from moe_lib.course import measurements_04b_stability as long
from moe_lib.course.columns import Columns
from moe_lib.course.measurements_04b_stability import arm_name
from moe_lib.course.table import Table

#: Switch's table 2: early quality, examples per second.
PRECISIONS = {
    "float32": ("\u22121.718", "1,160"),
    "selective": ("\u22121.716", "1,390"),
    "bfloat16": ("\u22123.780", "1,390"),
}
#: ST-MoE's stability tables: what was changed, stable runs of all, quality, its spread.
REMEDIES = (
    ("baseline", "4 of 6", -1.755, 0.02),
    ("without GEGLU", "3 of 3", -1.849, 0.02),
    ("without the RMS scale", "3 of 3", -2.020, 0.06),
    ("input jitter 0.01", "3 of 3", -1.777, 0.03),
    ("dropout 0.1", "3 of 3", -1.822, 0.11),
    ("updates clipped at 0.1", "3 of 3", -4.206, 0.17),
    ("router z-loss", "3 of 3", -1.741, 0.02),
)


def precision_table(columns: Columns) -> Table:
    """Three precisions: what is learnt and how fast, there and here.

    Args:
        columns: as `measure_precision` gives them.
    """
    rows = []
    for arm in long.ARMS:
        quality, speed = PRECISIONS[arm]
        bits, elsewhere = (
            columns[f"{arm}: bits"],
            columns[f"{arm}: flipped by the model"],
        )
        milliseconds = 1000 * columns[f"{arm}: seconds"].median()
        rows.append(
            (arm, quality, f"{bits.mean():.3f} \u00b1 {bits.std():.3f}", speed,
             f"{milliseconds:.0f}", f"{100 * elsewhere.mean():.1f}")
        )  # fmt: skip
    head = ("precision", "paper: quality", "here: bits per byte",
            "paper: examples a second", "here: ms a step",
            "% of tokens that float32 would send elsewhere")  # fmt: skip
    return Table(head, rows, "table 2 of Switch in three precisions")


def stability_table(columns: Columns) -> Table:
    """ST-MoE's remedies, as printed, above our runs with and without the z-loss."""
    rows = [
        (
            f"ST-MoE: {name}",
            f"{stable} runs",
            f"{quality:.3f} ± {spread:.2f} (log p)",
            "",
        )
        for name, stable, quality, spread in REMEDIES
    ]
    for lr in long.STABILITY.config["rates"]:
        for w_z in long.STABILITY.config["coefficients"]:
            arm = arm_name(lr, w_z)
            bits, jump = columns[f"{arm}: bits"][:, -1], columns[f"{arm}: jump"]
            spread = f"{bits.mean():.3f} ± {bits.std():.3f} bits"
            flipped = f"{100 * columns[f'{arm}: flipped'][:, -1].mean():.1f}"
            rows.append(
                (f"here: rate {arm}", f"jumps by {jump.max():.2f}", spread, flipped)
            )
    head = ("runs", "stable, or the largest jump of the loss", "quality",
            "% of tokens that bf16 logits send elsewhere")  # fmt: skip
    return Table(head, rows, "ST-MoE's remedies for instability, and the z-loss here")
