"""The coefficient of the balancing loss, and expert choice, which has none."""

from __future__ import annotations

import plotly.graph_objects as go
from torch import Tensor

from moe_lib.course.claims_05_dilemma import ARMS
from moe_lib.course.columns import Columns
from moe_lib.course.measurements_05_dilemma import CHOICE, COEFFICIENTS
from moe_lib.figures.balance_price import add_series, places_of
from moe_lib.figures.panels import COLOURS, DASHES, grid_of_panels
from moe_lib.figures.style import figure, look_of

#: What is drawn, from the top: column -> head of the panel.
PANELS = {
    "max_over_mean": "the busiest expert, over the mean",
    "similarity": "likeness of the experts, mean cosine",
    "bits": "bits per hidden byte, held out",
}
BUSY = [1, 2, 4, 8, 16]
TOP_2, NO_LOSS = "top-2 + loss, each seed", "expert choice, no loss, ± SD"


def dilemma(
    columns: Columns,
    *,
    theme: str = "both",
    title: str = "Which coefficient is right?",
) -> go.Figure:
    """Three panels over the coefficient: a mark for each seed, a line through means.

    Expert choice is a level with a band of one SD; 0 has a place of its own on the
    logarithmic axis.

    Args:
        columns: as `measure_dilemma` gives them.
    """
    fig = figure(
        alt=_alt(columns), title=title, height=710, theme=theme,
        margin=dict(t=128, l=58, b=48), legend_y=1.045,
    )  # fmt: skip
    grid_of_panels(fig, len(PANELS), list(PANELS.values()), vertical_spacing=0.1)
    places = places_of(COEFFICIENTS)
    ends = [-0.5, max(places.values()) + 0.4]
    for row, what in enumerate(PANELS, start=1):
        _level(fig, _last(columns, CHOICE, what), ends, row)
        points = {
            places[w]: _last(columns, arm, what)
            for w, arm in zip(COEFFICIENTS, ARMS, strict=True)
        }
        add_series(fig, points, TOP_2, 0, row)
    fig.add_hline(
        y=columns["untrained: similarity"].mean().item(), row=2,
        line=dict(color=look_of(theme).muted, dash="dash", width=1.5),
        annotation=dict(text="untrained", font=dict(size=11), yshift=-2),
        annotation_position="top right",
    )  # fmt: skip
    fig.update_xaxes(
        tickvals=list(places.values()), ticktext=[f"{w:g}" for w in places], range=ends
    )
    fig.update_xaxes(title=dict(text="coefficient", standoff=6), row=len(PANELS))
    fig.update_yaxes(type="log", tickvals=BUSY, row=1,
                     ticktext=[str(tick) for tick in BUSY])  # fmt: skip
    return fig


def _last(columns: Columns, arm: str, what: str) -> Tensor:
    """``[S]``, at the end of the training."""
    return columns[f"{arm}: {what}"][:, -1]


def _level(fig: go.Figure, values: Tensor, ends: list[float], row: int) -> None:
    """Expert choice's mean as a line across a panel, its spread as a band."""
    mean, off = values.mean().item(), values.std().item()
    look = dict(mode="lines", legendgroup=NO_LOSS, row=row, col=1)
    colour = COLOURS[1]
    fig.add_scatter(
        x=[*ends, *reversed(ends)], y=[mean - off] * 2 + [mean + off] * 2,
        fill="toself", fillcolor=colour, opacity=0.25, line=dict(width=0),
        showlegend=False, hoverinfo="skip", **look,
    )  # fmt: skip
    fig.add_scatter(
        x=ends, y=[mean] * 2, name=NO_LOSS, showlegend=row == 1,
        line=dict(color=colour, width=2.5, dash=DASHES[2]),
        hovertemplate="expert choice: %{y:.4g}<extra></extra>", **look,
    )  # fmt: skip


def _alt(columns: Columns) -> str:
    told = []
    for arm in (*ARMS, CHOICE):
        busiest, alike, bits = (_last(columns, arm, w).mean().item() for w in PANELS)
        told.append(
            f"{arm}: busiest expert {busiest:.2f} times the mean, likeness {alike:.2f},"
            f" {bits:.3f} bits"
        )
    return (
        "Top-2 by the coefficient of its balancing loss, then expert choice without"
        f" one; means over the seeds. {'; '.join(told)}."
    )
