"""The square-root law of the all-to-all, and GShard's measured points beside it."""

from __future__ import annotations

import plotly.graph_objects as go

from moe_lib.course.torus import load_of_a_link
from moe_lib.figures.palette import colour
from moe_lib.figures.panels import grid_of_panels
from moe_lib.figures.style import figure, look_of

DEVICES = (16, 32, 64, 128, 256, 512, 1024, 2048)
#: GShard (2020), section 5: an all-to-all over 2,048 devices takes 9 times as long as
#: over 16; dispatch and combine take 16 % of a layer with 128 experts, 36 % with 2,048.
TIMES = {16: 1.0, 2048: 9.0}
SHARES = {128: 0.16, 2048: 0.36}


def growth(devices: int, start: int) -> float:
    """How many times longer the all-to-all takes than over ``start``, by the hops."""
    return load_of_a_link(devices) / load_of_a_link(start)


def predicted_share(devices: int, start: int = 128) -> float:
    """Share of dispatch and combine in a layer, if all the rest takes as long as ever.

    Args:
        start: where the share is the paper's, one of `SHARES`.
    """
    there = SHARES[start] * growth(devices, start)
    return there / (there + 1 - SHARES[start])


def all_to_all_figure(
    *, theme: str = "both", title: str = "How fast does the journey grow?"
) -> go.Figure:
    """Two panels over D: time of an all-to-all, and its share of an MoE layer.

    Each curve has one free constant, fitted at its first point of the paper: 1 at 16
    devices, 16 % at 128.
    """
    sizes, start = list(DEVICES), DEVICES[0]
    times = [growth(d, start) for d in sizes]
    root = [(d / start) ** 0.5 for d in sizes]
    shares = [100 * predicted_share(d) for d in sizes]
    fig = figure(
        alt=f"Above: time of an all-to-all at fixed bytes of each device, from"
        f" {start:,} to {sizes[-1]:,} devices, both axes logarithmic. By counted hops"
        f" it grows {times[-1]:.1f} times, by the square root {root[-1]:.1f} times;"
        f" measured by the paper: {TIMES[2048]:.0f} times at 2,048. Below: its share of"
        f" a layer, calculated from {SHARES[128]:.0%} at 128 devices to"
        f" {predicted_share(2048):.0%} at 2,048; measured: {SHARES[2048]:.0%}.",
        title=title,
        height=600,
        theme=theme,
    )
    grid_of_panels(
        fig, 2, [f"time of an all-to-all, {start} devices = 1", "share of a layer, %"],
        vertical_spacing=0.12, shared_xaxes=True,
    )  # fmt: skip
    blue, look = colour(4, theme), look_of(theme)
    solid = dict(color=blue, width=2.5)
    dashed = dict(color=look.ink, width=1.5, dash="dash")
    for name, values, row, line in (
        ("hops counted", times, 1, solid),
        ("√D", root, 1, dashed),
        ("hops counted", shares, 2, solid),
    ):
        fig.add_scatter(
            x=sizes, y=values, mode="lines", name=name, line=line, row=row, col=1,
            legendgroup=name, showlegend=row == 1,
            hovertemplate=f"{name}, D = %{{x:,}}: %{{y:.3g}}<extra></extra>",
        )  # fmt: skip
    percent = {d: 100 * share for d, share in SHARES.items()}
    for row, points in ((1, TIMES), (2, percent)):
        for place, name, symbol in (
            (0, "paper, fitted here", "diamond-open"),
            (1, "paper", "diamond"),
        ):
            x, y = list(points.items())[place]
            fig.add_scatter(
                x=[x], y=[y], mode="markers+text", row=row, col=1, name=name,
                legendgroup=name, showlegend=row == 1, text=[f"<b>{y:g}</b>"],
                textposition="bottom center",
                hovertemplate="the paper, D = %{x:,}: %{y:g}<extra></extra>",
                marker=dict(symbol=symbol, size=12, color=colour(1, theme),
                            line=dict(width=2, color=colour(1, theme))),
            )  # fmt: skip
    ticks = [16, 64, 256, 1024]
    fig.update_xaxes(type="log", tickvals=ticks, showticklabels=True,
                     ticktext=[f"{d:,}" for d in ticks])  # fmt: skip
    fig.update_xaxes(title=dict(text="devices D, log scale"), row=2)
    fig.update_yaxes(type="log", tickvals=[1, 2, 5, 10], range=[-0.25, 1.2], row=1)
    fig.update_yaxes(range=[0, 50], row=2)
    fig.update_traces(cliponaxis=False)
    return fig.update_layout(margin=dict(t=120), legend_y=1.06)
