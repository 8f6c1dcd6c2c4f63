"""Tables of the name memory: what each arm recalls and costs, who shares experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from moe_lib.course.columns import Columns
from moe_lib.course.language_sharing import Sharing
from moe_lib.course.lookup_setup import Setup
from moe_lib.course.measurements_03_lookup import NAMES, best_name
from moe_lib.course.table import Table


def arms_table(columns: Columns) -> Table:
    """A row for each arm of the stored measurement, at its best learning rate.

    FLOPs of a name and parameters are those of the feed-forward layers; seconds are of
    a whole training, on the processor that the measurement ran on.
    """
    config, rows = NAMES.config, []
    for arm, (changes, _) in config["arms"].items():
        setup = Setup(**{**config["base"], **changes})
        name = best_name(columns, arm)
        rows.append(
            (
                arm,
                f"{setup.flops:,}",
                f"{setup.parameters:,}",
                f"{setup.steps:,}",
                name.split(" at ")[1],
                _spread(columns[f"{name}: all"]),
                _spread(columns[f"{name}: unseen"]),
                f"{columns[f'{name}: seconds'].mean():.0f}",
            )
        )
    head = ("arm", "FLOPs", "parameters", "steps", "learning rate", "% recalled",
            "% of unseen", "seconds")  # fmt: skip
    return Table(head, rows, f"{len(rows)} arms: cost, names recalled, seconds")


def sharing_table(runs: Mapping[str, Sequence[Sharing]]) -> Table:
    """A row for each run: what its experts tell of the language, and who is near whom.

    Args:
        runs: such as "trained" and "untrained" -> their runs, seed by seed.
    """
    rows = [
        (
            f"{name}, {seed}",
            f"{one.bits:.2f}",
            f"{one.chance:.2f}",
            f"{one.mean_distance(same_script=True):.3f}",
            f"{one.mean_distance(same_script=False):.3f}",
            *(one.nearest[code] for code in one.languages[:3]),
        )
        for name, group in runs.items()
        for seed, one in enumerate(group)
    ]
    codes = next(iter(runs.values()))[0].languages[:3]
    head = ("run", "bits", "by chance", "Latin pairs", "Latin and other",
            *(f"nearest to {code}" for code in codes))  # fmt: skip
    return Table(head, rows, f"who shares experts, in {len(rows)} runs")


def _spread(values: Tensor) -> str:
    return f"{values.mean():.1f} ± {values.std():.1f}"
