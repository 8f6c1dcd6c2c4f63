"""What the figures share: marks in an order, and panels that look alike."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from moe_lib.figures.palette import BOTH
from moe_lib.figures.style import GRID, INK, MUTED

COLOURS = (BOTH[4], BOTH[1], BOTH[0], BOTH[3])
DASHES = ("solid", "dot", "dash", "dashdot")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star", "hexagon")


def grid_of_panels(
    fig: go.Figure, rows: int, titles: Sequence[str], **spacing: float
) -> go.Figure:
    """Split a figure of `style.figure` into panels that share both axes' look."""
    columns = len(titles) // rows
    fig.set_subplots(
        rows,
        columns,
        subplot_titles=list(titles),
        **{"horizontal_spacing": 0.06, **spacing},
    )
    axis = dict(gridcolor=GRID, zeroline=False, linecolor=MUTED, tickcolor=MUTED,
                title=dict(font=dict(size=13)))  # fmt: skip
    fig.update_xaxes(ticks="outside", **axis)
    fig.update_yaxes(ticks="outside", **axis)
    fig.update_annotations(font=dict(size=13, color=INK))
    return fig
