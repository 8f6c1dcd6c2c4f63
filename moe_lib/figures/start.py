"""The first steps of a Switch model: scales of its weights, ways of exploring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from torch import Tensor

from moe_lib.course.checkpoints import last_bits
from moe_lib.course.columns import Columns
from moe_lib.course.measurements_04b_start import AT_ONE, NOBODY, PIECE, WAYS
from moe_lib.figures.panels import COLOURS, DASHES, SYMBOLS, grid_of_panels
from moe_lib.figures.style import INK, MUTED, figure

#: Quality (negative log perplexity) in appendix C of Fedus et al. (2021).
PAPER = {"argmax": -1.471, "sampled": -1.570, "input dropout": -1.480, "jitter": -1.468}
UNIT = "bits per byte"


def initial_scales(
    columns: Columns,
    *,
    theme: str = "both",
    title: str = "How large should weights start?",
) -> go.Figure:
    """Training by step, a line for each seed; below, where the seeds end.

    Args:
        columns: as `measure_initialisation` gives them, of at most four scales.

    Raises:
        ValueError: more scales than there are dashes; an unknown theme.
    """
    arms = [name.removesuffix(": bits") for name in dict(columns) if ": bits" in name]
    if len(arms) > len(DASHES):
        raise ValueError(
            f"columns hold {len(arms)} scales: give at most {len(DASHES)}, which can"
            " be told apart"
        )
    ends = {arm: last_bits(columns, arm) for arm in arms}
    fig = figure(alt=_scales_alt(ends), title=title, height=560, theme=theme)
    heads = [f"{UNIT} of the training, a line for each seed",
             "held out, at the end: each seed, mean, SD"]  # fmt: skip
    grid_of_panels(fig, 2, heads, vertical_spacing=0.2, row_heights=[0.6, 0.4])
    for k, arm in enumerate(arms):
        curves = columns[f"{arm}: training"]
        steps = [PIECE * (i + 0.5) for i in range(curves.shape[1])]
        for seed, curve in enumerate(curves.tolist()):
            fig.add_scatter(
                x=steps, y=curve, mode="lines", name=arm, legendgroup=arm,
                showlegend=seed == 0, opacity=0.75,
                line=dict(color=COLOURS[k], width=1.6, dash=DASHES[k]),
                hovertemplate=f"{arm}<br>step %{{x:.0f}}: %{{y:.2f}}<extra></extra>",
                row=1, col=1,
            )  # fmt: skip
        _row(fig, ends[arm], k, k, arm, row=2, col=1)
    fig.update_xaxes(title=dict(text="steps"), row=1)
    fig.update_xaxes(title=dict(text=UNIT), row=2)
    _names(fig, arms, row=2, col=1)
    return fig.update_layout(
        margin=dict(t=124, l=84), legend=dict(y=1.09, yanchor="bottom")
    )


def exploration_costs(
    columns: Columns,
    *,
    theme: str = "both",
    title: str = "What does exploring cost?",
) -> go.Figure:
    """Bits lost against the best expert, seed by seed; beside it, the paper's nats.

    "overflow sent on" is No-Token-Left-Behind against dropping, both at a capacity
    factor of 1; the paper gives no number for it.

    Args:
        columns: as `measure_exploration` gives them.
    """
    lost = {
        way: last_bits(columns, way) - last_bits(columns, "argmax") for way in WAYS[1:]
    }
    lost["overflow sent on"] = last_bits(columns, NOBODY) - last_bits(columns, AT_ONE)
    told = {way: PAPER["argmax"] - PAPER[way] for way in WAYS[1:]}
    fig = figure(
        alt=_costs_alt(lost, told), title=title, height=340, theme=theme,
        showlegend=False, margin=dict(t=84, l=118, b=56),
    )  # fmt: skip
    grid_of_panels(fig, 1, ["here", "in the paper"], column_widths=[0.62, 0.38])
    for k, (way, values) in enumerate(lost.items()):
        _row(fig, values, k, k, way, row=1, col=1)
    fig.add_scatter(
        x=list(told.values()), y=list(range(len(told))), mode="markers",
        marker=dict(symbol="diamond-open", size=10, color=INK, line=dict(width=2)),
        hovertemplate="%{x:+.3f}<extra></extra>", row=1, col=2,
    )  # fmt: skip
    fig.add_annotation(
        text="no number", x=0, xanchor="left", xshift=6, y=len(told), showarrow=False,
        font=dict(size=12, color=INK), row=1, col=2,
    )  # fmt: skip
    for col, unit in ((1, f"{UNIT} lost"), (2, "nats lost")):
        fig.add_vline(x=0, line=dict(color=MUTED, width=1.5), row=1, col=col)
        _names(fig, list(lost), row=1, col=col)
        fig.update_xaxes(title=dict(text=unit), nticks=5, col=col)
    fig.update_yaxes(showticklabels=False, col=2)
    return fig


def _row(
    fig: go.Figure, values: Tensor, k: int, y: int, name: str, *, row: int, col: int
) -> None:
    """The seeds of one arm at height ``y``; below them the mean, a bar of one SD."""
    at = dict(row=row, col=col, showlegend=False, legendgroup=name)
    fig.add_scatter(
        x=values.tolist(), y=[y - 0.12] * len(values), mode="markers",
        marker=dict(color=COLOURS[k], symbol=SYMBOLS[k], size=8),
        hovertemplate=f"{name}: %{{x:.3f}}<extra></extra>", **at,
    )  # fmt: skip
    fig.add_scatter(
        x=[values.mean().item()], y=[y + 0.18], mode="markers",
        error_x=dict(array=[values.std().item()], thickness=2, width=5),
        marker=dict(color=COLOURS[k], symbol="line-ns", size=12,
                    line=dict(width=2.5, color=COLOURS[k])),
        hovertemplate=f"{name}: mean %{{x:.3f}}<extra></extra>", **at,
    )  # fmt: skip


def _names(fig: go.Figure, names: Sequence[str], *, row: int, col: int) -> None:
    fig.update_yaxes(range=[len(names) - 0.5, -0.5], tickvals=list(range(len(names))),
                     ticktext=list(names), row=row, col=col)  # fmt: skip


def _scales_alt(ends: Mapping[str, Tensor]) -> str:
    told = "; ".join(
        f"{arm}: {bits.mean():.2f}, SD {bits.std():.3f}" for arm, bits in ends.items()
    )
    return (
        "Bits per byte by step for models whose weights start at different scales, a"
        f" line for each seed. Held out, at the end, mean over seeds: {told}."
    )


def _costs_alt(lost: Mapping[str, Tensor], told: Mapping[str, float]) -> str:
    here = ", ".join(f"{way} {v.mean():+.3f}" for way, v in lost.items())
    there = ", ".join(f"{way} {value:+.3f}" for way, value in told.items())
    return (
        "Bits per byte lost against sending each token to its best expert, a dot for"
        f" each seed. Means: {here}. The paper's, in nats: {there}."
    )
