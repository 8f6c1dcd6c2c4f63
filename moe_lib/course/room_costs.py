"""What room costs: places, empty ones, and arithmetic with padding and without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from moe_lib.course.columns import Columns
from moe_lib.course.measurements_04_capacity import FACTORS
from moe_lib.course.switch_setup import Setup
from moe_lib.course.table import Table

HEAD = ("capacity factor", "places of an expert", "empty at even loads",
        "MFLOPs padded", "MFLOPs of filled places", "seconds here")  # fmt: skip


def room_costs(
    setup: Setup, columns: Columns, factors: Sequence[float] = FACTORS
) -> Table:
    """A row for each capacity factor, of the mixture's layer and one batch, forward.

    Args:
        columns: of the stored measurement, for the last column: mean seconds of a
            training. This library computes the rows that were kept, and nothing else.
    """
    rows = []
    for factor in factors:
        # ours counts the choices in: top-2 at a factor of 1 has places for both
        layer = replace(setup.feed_forward, capacity_factor=factor / setup.top_k)
        mega = (layer.flops(setup.tokens, padded=padded) / 1e6 for padded in (1, 0))
        rows.append((
            f"{factor:g}", f"{layer.slots(setup.tokens) // setup.num_experts}",
            f"{layer.wasted(setup.tokens):.0%}", *(f"{flops:.0f}" for flops in mega),
            f"{columns[f'{factor:g}: seconds'].mean():.1f}",
        ))  # fmt: skip
    told = f"{len(rows)} capacity factors, {factors[0]:g} to {factors[-1]:g}"
    return Table(HEAD, rows, f"What room costs: {told}")
