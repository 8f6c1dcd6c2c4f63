"""Overflow: what is too late, by probability (lines) and as routed (marks)."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from moe_lib.course.overflow import Curve
from moe_lib.figures.panels import COLOURS, DASHES, SYMBOLS
from moe_lib.figures.style import figure


def drop_curves(
    curves: Sequence[Curve],
    x: str,
    *,
    theme: str = "both",
    title: str = "How many choices come too late?",
) -> go.Figure:
    """A line and marks for each curve, in percent; bars are two standard errors.

    Args:
        curves: at most four. x: what they are drawn over.

    Raises:
        ValueError: more curves than there are dashes; an unknown theme.
    """
    if len(curves) > len(DASHES):
        raise ValueError(
            f"curves holds {len(curves)}: give at most {len(DASHES)}, which can be"
            " told apart"
        )
    ends = "; ".join(
        f"{c.name}: {c.expected[0]:.1%} at {c.x[0]:.3g}, {c.expected[-1]:.1%} at"
        f" {c.x[-1]:.3g}"
        for c in curves
    )
    falls = curves[0].expected[0] > curves[0].expected[-1]
    side = dict(x=1, xanchor="right") if falls else dict(x=0, xanchor="left")
    fig = figure(
        alt=f"Share of choices that find their expert full, against the {x}: lines by"
        f" probability, marks as routed. {ends}.",
        title=title,
        x=x,
        y="choices dropped (%)",
        height=360,
        theme=theme,
        legend=dict(orientation="v", y=1, yanchor="top", **side),  # the free corner
        margin=dict(t=50),
    )
    for k, curve in enumerate(curves):
        percent = 100 * curve.measured
        two_se = 2 * percent.std(dim=1) / percent.shape[1] ** 0.5
        look = dict(name=curve.name, legendgroup=curve.name)
        fig.add_scatter(
            x=curve.x.tolist(), y=(100 * curve.expected).tolist(), mode="lines",
            line=dict(color=COLOURS[k], width=2, dash=DASHES[k]), showlegend=False,
            hoverinfo="skip", **look,
        )  # fmt: skip
        fig.add_scatter(
            x=curve.x.tolist(), y=percent.mean(dim=1).tolist(), mode="markers",
            marker=dict(color=COLOURS[k], size=9, symbol=SYMBOLS[k]),
            error_y=dict(array=two_se.tolist(), thickness=1.5, width=4),
            hovertemplate=f"{curve.name}<br>%{{x:.3g}}: %{{y:.2f}} %<extra></extra>",
            **look,
        )  # fmt: skip
    fig.update_yaxes(rangemode="tozero")
    return fig
