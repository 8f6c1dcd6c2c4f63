"""The coefficient of the balancing loss: what it buys, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from torch import Tensor

from moe_lib.course.claims_04_capacity import swap_cost
from moe_lib.course.columns import Columns
from moe_lib.course.measurements_04_capacity import COEFFICIENTS, LIMITED
from moe_lib.figures.panels import COLOURS, DASHES, SYMBOLS, grid_of_panels
from moe_lib.figures.style import figure, look_of

APART = 1.5  # decades between 0 and the smallest coefficient
PANELS = (
    "the busiest expert, over the mean",
    "held-out bits per byte",
    "likeness of the experts, mean cosine",
    "bits lost with the router's second choice",
)
KINDS = {"nothing is dropped": "", "capacity factor 1.25": f" {LIMITED}"}
BUSY = [1, 2, 4, 8, 16]


def balance_price(
    columns: Columns,
    coefficients: Sequence[float] = COEFFICIENTS,
    *,
    theme: str = "both",
    title: str = "What does balance buy, and cost?",
) -> go.Figure:
    """Four panels over the coefficient: a mark for each seed, lines through the means.

    All is measured on held-out text with room for all; the second kind of mark is of
    models that dropped tokens in training.

    Args:
        columns: as the stored measurement. coefficients: those measured, rising; 0
            has a place of its own on the logarithmic axis.
    """
    found = {
        kind: {
            w: _values(columns, f"{w:g}{suffix}")
            for w in coefficients
            if f"{w:g}{suffix}: bits" in columns.keys()
        }
        for kind, suffix in KINDS.items()
    }
    found = {kind: arms for kind, arms in found.items() if arms}
    fig = figure(
        alt=_alt(*found.values()), title=title, height=820, theme=theme,
        margin=dict(t=104, l=58, b=48), legend_y=1.035,
    )  # fmt: skip
    grid_of_panels(fig, len(PANELS), PANELS, vertical_spacing=0.085)
    places = places_of(coefficients)
    for k, (kind, arms) in enumerate(found.items()):
        for row in range(len(PANELS)):
            points = {places[w]: values[row] for w, values in arms.items()}
            add_series(fig, points, kind, k, row + 1)
    start = columns["untrained: similarity"].mean().item()
    fig.add_hline(
        y=start, row=3, line=dict(color=look_of(theme).muted, dash="dash", width=1.5),
        annotation=dict(text="untrained", font=dict(size=11), yshift=-2),
        annotation_position="top right",
    )  # fmt: skip
    fig.update_xaxes(
        tickvals=list(places.values()), ticktext=[f"{w:g}" for w in places],
        range=[-0.5, max(places.values()) + 0.4],
    )  # fmt: skip
    fig.update_xaxes(title=dict(text="coefficient", standoff=6), row=len(PANELS))
    fig.update_yaxes(type="log", tickvals=BUSY, row=1,
                     ticktext=[str(tick) for tick in BUSY])  # fmt: skip
    fig.update_yaxes(rangemode="tozero", row=3)
    fig.update_yaxes(rangemode="tozero", row=4)
    return fig


def _values(columns: Columns, arm: str) -> tuple[Tensor, ...]:
    """``[S]`` for each panel."""
    shown = (columns[f"{arm}: {what}"] for what in ("max_over_mean", "bits",
                                                    "similarity"))  # fmt: skip
    return *shown, swap_cost(columns, arm)


def places_of(coefficients: Sequence[float]) -> dict[float, float]:
    """Coefficient -> x: decades, and 0 to the left of them all."""
    decades = {w: math.log10(w) for w in coefficients if w}
    first = min(decades.values()) - APART
    return {w: decades.get(w, first) - first for w in coefficients}


def add_series(
    fig: go.Figure, points: Mapping[float, Tensor], kind: str, k: int, row: int
) -> None:
    """One kind's line and marks in a panel; the line does not reach 0's place."""
    look = dict(row=row, col=1, legendgroup=kind)
    beyond = {x: values for x, values in points.items() if x > 0}
    fig.add_scatter(
        x=list(beyond), y=[values.mean().item() for values in beyond.values()],
        mode="lines", line=dict(color=COLOURS[k], width=2, dash=DASHES[k]),
        showlegend=False, hoverinfo="skip", **look,
    )  # fmt: skip
    marks = [(x, value) for x, values in points.items() for value in values.tolist()]
    fig.add_scatter(
        x=[x for x, _ in marks], y=[y for _, y in marks], mode="markers", name=kind,
        marker=dict(color=COLOURS[k], symbol=SYMBOLS[k], size=8, opacity=0.8),
        showlegend=row == 1, hovertemplate=f"{kind}: %{{y:.4g}}<extra></extra>",
        **look,
    )  # fmt: skip


def _alt(
    free: Mapping[float, Sequence[Tensor]],
    limited: Mapping[float, Sequence[Tensor]] | None = None,
) -> str:
    told = []
    for w, values in free.items():
        busiest, bits, alike, lost = (value.mean().item() for value in values)
        told.append(
            f"{w:g}: busiest expert {busiest:.2f} times the mean, {bits:.3f} bits,"
            f" likeness {alike:.2f}, {lost:.3f} bits lost with the second choice"
        )
    if limited:
        at = (f"{values[1].mean():.3f} at {w:g}" for w, values in limited.items())
        told[-1] += f". Trained at capacity factor 1.25, bits: {' and '.join(at)}"
    return (
        "By the coefficient of the balancing loss, means over the seeds."
        f" {'; '.join(told)}."
    )
