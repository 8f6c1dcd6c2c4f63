"""Room in training against room in evaluation: what is dropped, and how good it is."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import torch
from torch import Tensor

from moe_lib.course.columns import Columns
from moe_lib.course.measurements_04_capacity import FACTORS
from moe_lib.figures.panels import COLOURS, grid_of_panels
from moe_lib.figures.style import figure, look_of
from moe_lib.figures.tints import faded

ASIDE = 0.35  # how far the last column stands apart
DEEP = 0.5  # of the range of a panel: from here on tints are dark, numbers white
TINTS = ([0, 0.03], [DEEP, 0.24], [DEEP, 0.8], [1, 1.0])  # value, opacity


def capacity_grid(
    columns: Columns,
    factors: Sequence[float] = FACTORS,
    *,
    theme: str = "both",
    title: str = "How much room, in training and after it?",
) -> go.Figure:
    """A row for each factor in training, a column for each in evaluation.

    Above what is dropped, in per cent, and, apart, what was dropped in training; below
    bits per byte, and, apart, with room for all. Means over the seeds; where a model
    is evaluated as it was trained, the cell has a frame.

    Args:
        columns: as the stored measurement. factors: those of its rows and columns.
    """
    names = [f"{factor:g}" for factor in factors]
    panels = {
        "per cent of the tokens dropped": (
            _table(columns, names, "eval dropped", "training dropped", 100), "training"
        ),
        "held-out bits per byte": (
            _table(columns, names, "bits", "bits with room"), "no limit"
        ),
    }  # fmt: skip
    fig = figure(
        alt=_alt(*(table.mean(dim=0) for table, _ in panels.values()), names),
        title=title, height=640, theme=theme, showlegend=False,
        margin=dict(t=84, l=64, r=8, b=48),
    )  # fmt: skip
    grid_of_panels(fig, 2, list(panels), vertical_spacing=0.16)
    for row, (table, apart) in enumerate(panels.values(), start=1):
        _panel(fig, table, names, apart, row, theme)
    fig.update_xaxes(showgrid=False, ticks="", showline=False)
    fig.update_yaxes(showgrid=False, ticks="", showline=False, zeroline=False)
    fig.update_yaxes(
        title=dict(text="factor in training"), tickvals=list(range(len(names))),
        ticktext=names, range=[len(names) - 0.5, -0.5],
    )  # fmt: skip
    fig.update_xaxes(title=dict(text="factor in evaluation", standoff=4))
    return fig


def _table(
    columns: Columns, names: Sequence[str], what: str, apart: str, scale: float = 1
) -> Tensor:
    """``[S, training factors, evaluation factors + 1]``."""
    rows = [
        torch.cat([columns[f"{n}: {what}"], columns[f"{n}: {apart}"][:, None]], dim=1)
        for n in names
    ]
    return scale * torch.stack(rows, dim=1)


def _panel(
    fig: go.Figure, table: Tensor, names: Sequence[str], apart: str, row: int,
    theme: str,
) -> None:  # fmt: skip
    mean, spread = table.mean(dim=0), table.std(dim=0)
    low, high = mean.min().item(), mean.max().item()
    count, (blue, ink) = len(names), (COLOURS[0], look_of(theme).ink)
    at, places = dict(row=row, col=1), [*range(count), count + ASIDE]
    digits = 1 if row == 1 else 3
    cells = [(x, y, mean[y, k].item(), spread[y, k].item())
             for y in range(count) for k, x in enumerate(places)]  # fmt: skip
    for x in places:  # one strip each: the last one stands apart
        strip = [value for at_x, _, value, _ in cells if at_x == x]
        fig.add_heatmap(
            x=[x], dx=1, y=list(range(count)), z=[[value] for value in strip],
            zmin=low, zmax=high, xgap=1, ygap=1, showscale=False, hoverinfo="skip",
            colorscale=[[v, faded(blue, opacity)] for v, opacity in TINTS], **at,
        )  # fmt: skip
    dark = low + DEEP * (high - low)
    fig.add_scatter(
        x=[x for x, *_ in cells], y=[y for _, y, *_ in cells], mode="text",
        text=[f"{value:.{digits}f}" for _, _, value, _ in cells],
        textfont=dict(
            size=12, color=["#fff" if value >= dark else ink for *_, value, _ in cells]
        ),
        customdata=[
            f"trained at {names[y]}: {value:.{digits}f} ± {sd:.{digits}f}"
            for _, y, value, sd in cells
        ],
        hovertemplate="%{customdata}<extra></extra>", **at,
    )  # fmt: skip
    for k in range(count):
        fig.add_shape(
            type="rect", x0=k - 0.5, x1=k + 0.5, y0=k - 0.5, y1=k + 0.5,
            line=dict(color=COLOURS[2], width=2.5), **at,
        )  # fmt: skip
    fig.update_xaxes(
        tickvals=places, ticktext=[*names, apart], range=[-0.5, places[-1] + 0.55],
        **at,
    )  # fmt: skip


def _alt(dropped: Tensor, bits: Tensor, names: Sequence[str]) -> str:
    own = ", ".join(
        f"{dropped[k, k]:.1f} % and {bits[k, k]:.3f} bits at {name}"
        for k, name in enumerate(names)
    )
    return (
        "Two tables by capacity factor in training and in evaluation: per cent of the"
        f" tokens dropped, and bits per byte. Evaluated as trained: {own}. Trained at"
        f" {names[0]} and evaluated at {names[-1]}: {dropped[0, -2]:.1f} % and"
        f" {bits[0, -2]:.3f} bits."
    )
