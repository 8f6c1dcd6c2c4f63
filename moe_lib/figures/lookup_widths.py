"""Names recalled by the width of the model: where memory suffices, the gap closes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from torch import Tensor

from moe_lib.course.columns import Columns
from moe_lib.course.lookup_setup import ARMS, Setup
from moe_lib.course.measurements_03_lookup import FULL, at_width, best_name
from moe_lib.figures.movie import add_frames
from moe_lib.figures.panels import COLOURS, SYMBOLS, grid_of_panels
from moe_lib.figures.style import figure, look_of


def names_by_width(
    columns: Columns,
    widths: Sequence[int],
    base: Setup = FULL,
    *,
    theme: str = "both",
    title: str = "And if memory suffices?",
) -> go.Figure:
    """Slide through the widths: what dense and mixture recall, and the gap below.

    Args:
        columns: "16, dense at 0.04: all" and so on, as the stored measurement.
        widths: those measured, rising.
    """
    arms = ARMS[:2]
    recalled = {
        arm: [columns[f"{best_name(columns, f'{w}, {arm}')}: all"] for w in widths]
        for arm in arms
    }
    gaps = [m - d for d, m in zip(*(recalled[arm] for arm in arms), strict=True)]
    fig = figure(
        alt=_widths_alt(recalled, gaps, widths), title=title, height=560, theme=theme,
        showlegend=False, margin=dict(t=90, l=60, b=110),
    )  # fmt: skip
    heads = ["per cent of the names recalled", "points that experts gain, by width"]
    grid_of_panels(fig, 2, heads, vertical_spacing=0.16, row_heights=[0.4, 0.6])
    look = look_of(theme)
    for k in range(len(arms)):
        at = dict(row=1, col=1, hoverinfo="skip")
        fig.add_scatter(mode="lines", line=dict(color=COLOURS[k], width=30),
                        opacity=0.55, **at)  # fmt: skip
        fig.add_scatter(mode="text", textposition="middle right", cliponaxis=False,
                        textfont=dict(color=look.ink, size=13), **at)  # fmt: skip
        fig.add_scatter(mode="markers", marker=dict(
            symbol=SYMBOLS[k], color=look.ink, size=8), **at)  # fmt: skip
    fig.add_scatter(
        x=list(widths), y=[gap.mean().item() for gap in gaps], mode="lines+markers",
        line=dict(color=look.muted, width=2), marker=dict(size=7), row=2, col=1,
        hovertemplate="width %{x}: %{y:.1f} points<extra></extra>",
    )  # fmt: skip
    fig.add_scatter(mode="markers", marker=dict(
        symbol="diamond", size=13, color=COLOURS[1]), row=2, col=1)  # fmt: skip
    states = [
        _state({arm: recalled[arm][i] for arm in arms}, gaps[i], width, base)
        for i, width in enumerate(widths)
    ]
    traces = [0, 1, 2, 3, 4, 5, 7]
    add_frames(fig, states, traces, [str(w) for w in widths], theme=theme,
               prefix="width ", suffix=" of the model")  # fmt: skip
    fig.update_xaxes(range=[0, 104], tickvals=[0, 25, 50, 75, 100], row=1)
    fig.update_yaxes(range=[1.7, -0.5], tickvals=[0, 1], row=1, showgrid=False,
                     ticktext=list(arms))  # fmt: skip
    fig.update_xaxes(type="log", tickvals=list(widths), row=2,
                     ticktext=[str(w) for w in widths])  # fmt: skip
    fig.update_yaxes(rangemode="tozero", row=2)
    return fig


def _state(
    recalled: Mapping[str, Tensor], gap: Tensor, width: int, base: Setup
) -> list[dict]:
    """What the slider changes: a bar, its label and its runs; the gap's mark."""
    changed = []
    for row, (arm, runs) in enumerate(recalled.items()):
        mean, setup = runs.mean().item(), at_width(base, width).but(arm=arm)
        said = f"{mean:.0f} %, {setup.parameters:,} parameters"
        changed += [
            dict(x=[0, mean], y=[row, row]),
            dict(x=[0], y=[row + 0.43], text=[said]),
            dict(x=runs.tolist(), y=[row] * len(runs)),
        ]
    return [*changed, dict(x=[width] * len(gap), y=gap.tolist())]


def _widths_alt(
    recalled: Mapping[str, Sequence[Tensor]], gaps: Sequence[Tensor], widths: Sequence
) -> str:
    told = ", ".join(
        f"{dense.mean():.0f} and {mixture.mean():.0f} at width {width}"
        for dense, mixture, width in zip(*recalled.values(), widths, strict=True)
    )
    most = max(range(len(gaps)), key=lambda i: gaps[i].mean().item())
    return (
        f"Per cent of the names recalled by dense and mixture: {told}. The mixture"
        f" gains most, {gaps[most].mean():.0f} points, at width {widths[most]}, and"
        f" {gaps[-1].mean():.0f} at width {widths[-1]}."
    )
