"""The race as a table: every router, the best on top."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from moe_lib.course.claims_05b_race import HONEST, honest_bits
from moe_lib.course.columns import Columns
from moe_lib.course.race_runs import BYTES_OF_STATE, race_columns
from moe_lib.course.scaling_tables import spread
from moe_lib.course.switch_runs import SwitchRun
from moe_lib.course.table import Table

AHEAD = "expert choice"  # in a decoder it sees what it is to tell
HEAD = ("router", "bits per byte", "load CV", "without expert, %", "dropped in"
        " training, %", "seconds", "thousand weights", "MB in training")  # fmt: skip


def race_board(columns: Columns) -> Table:
    """A row for each router, by bits of held-out text; mean ± SD over the seeds.

    Where the columns have expert choice step by step, that counts for it, and its bits
    of whole texts, in which it looked ahead, stand beside. "Dropped" are choices that
    were not served, those that GShard's lottery declined among them; nothing is to be
    dropped where the cell is empty.

    Args:
        columns: as the stored race, each ``[S, C]`` or ``[S]``.
    """
    columns = dict(columns)
    if HONEST in columns:
        bits = honest_bits(columns)
    else:
        bits = {
            name.removesuffix(": bits"): value[:, -1]
            for name, value in columns.items() if name.endswith(": bits")
        }  # fmt: skip
    rows = []
    for name in sorted(bits, key=lambda name: bits[name].mean().item()):
        told = spread(bits[name], 3)
        if name == AHEAD and HONEST in columns:
            seen = columns[f"{name}: bits"][:, -1]
            told += f" (looking ahead {spread(seen, 3)})"
        rows.append([name, told, *_rest(columns, name)])
    return Table(HEAD, rows, f"{len(rows)} routers by bits per byte")


def runs_board(runs: Mapping[str, SwitchRun], yours: str = "") -> Table:
    """The same for runs of one seed; ``yours`` is marked, and who looked ahead."""
    columns = {name: value[None] for name, value in race_columns(runs).items()}
    table = race_board(columns)
    for row in table.rows:
        if row[0] == yours:
            row[0] = f"▶ {row[0]}"
        if row[0] == AHEAD and not runs[AHEAD].setup.masked:
            row[1] += " (looking ahead)"
    return table


def _rest(columns: Columns, name: str) -> list[str]:
    def last(what: str) -> Tensor:
        values = columns[f"{name}: {what}"]
        return values[:, -1] if values.ndim > 1 else values

    parameters = last("parameters")[0].item()
    dropped, dense = 100 * last("dropped"), name == "dense"
    return [
        "" if dense else spread(last("load cv"), 2),
        "" if dense else spread(100 * last("unserved"), 1),
        spread(dropped, 1) if torch.any(dropped > 0) else "",
        spread(last("seconds"), 1),
        f"{parameters / 1e3:,.0f}",
        f"{parameters * BYTES_OF_STATE / 1e6:.1f}",
    ]
