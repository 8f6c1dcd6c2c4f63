"""How the long race ended: bits, balance and time of every router, seed by seed."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
import torch
from torch import Tensor

from moe_lib.course.columns import Columns
from moe_lib.figures.palette import colour
from moe_lib.figures.panels import grid_of_panels
from moe_lib.figures.style import figure, look_of

PANELS = {"bits": "bits per byte", "load cv": "load CV", "seconds": "seconds"}
STEPWISE = "expert choice: step by step"
ROW = 44  # px


def race_result(
    columns: Columns,
    *,
    theme: str = "both",
    title: str = "Who won the long race?",
) -> go.Figure:
    """A row for each router, a dot for each seed, a bar over mean and deviation.

    Bits of held-out text, the load's coefficient of variation (0: all experts serve
    equally many) and seconds of processor time, all at the last checkpoint. Where the
    columns have expert choice step by step as well, that is a row of its own, and its
    usual bits are hollow: there it saw the bytes that it was to tell.

    Args:
        columns: as the stored measurement "05b-race-causal" or "05b-race-masked".

    Raises:
        ValueError: there is no column "ROUTER: bits".
    """
    columns = {n: torch.as_tensor(v).float() for n, v in dict(columns).items()}
    arms = [n.removesuffix(": bits") for n in columns if n.endswith(": bits")]
    if not arms:
        raise ValueError("columns has no column 'ROUTER: bits': give a stored race")
    ends = {
        what: {arm: _last(columns[f"{arm}: {what}"]) for arm in arms} for what in PANELS
    }
    ends["load cv"].pop("dense", None)  # it has no experts to be loaded
    if STEPWISE in columns:  # a row of its own below
        ends["bits"][STEPWISE] = columns[STEPWISE].flatten()
        arms.insert(arms.index("expert choice") + 1, STEPWISE)
    fig = figure(
        alt=_alt(ends), title=f"<b>{title}</b>", theme=theme,
        height=130 + ROW * len(arms), showlegend=False,
        margin=dict(l=12, r=16, t=76, b=44),
    )  # fmt: skip
    grid_of_panels(
        fig, 1, list(PANELS.values()), column_widths=[0.56, 0.22, 0.22],
        horizontal_spacing=0.05,
    )  # fmt: skip
    look, routers = look_of(theme), [arm for arm in arms if arm != STEPWISE]
    for row, arm in enumerate(arms):
        saw_ahead = arm == "expert choice" and STEPWISE in arms
        fig.add_annotation(
            text=f"<b>{arm}</b>" + " (saw ahead)" * saw_ahead, x=0, xref="paper",
            xanchor="left", y=row - 0.34, xshift=4, showarrow=False,
            font=dict(size=12, color=look.ink),
        )  # fmt: skip
        paint = colour(routers.index(arm.split(":")[0]), theme)
        for col, (what, unit) in enumerate(PANELS.items(), start=1):
            if arm not in ends[what]:
                continue
            hollow = saw_ahead and what == "bits"
            _dots(fig, ends[what][arm], row, arm, unit, paint, hollow, col)
    fig.update_yaxes(range=[len(arms) - 0.6, -0.65], showticklabels=False, ticks="",
                     tickvals=list(range(len(arms))))  # fmt: skip
    fig.update_xaxes(nticks=6, col=1)
    fig.update_traces(cliponaxis=False)
    for col in (2, 3):
        fig.update_xaxes(nticks=3, rangemode="tozero", col=col)
    return fig


def _last(values: Tensor) -> Tensor:
    """``[S, C]`` -> ``[S]``, the last checkpoint."""
    return values[:, -1]


def _dots(
    fig: go.Figure, values: Tensor, row: int, name: str, unit: str, color: str,
    hollow: bool, col: int,
) -> None:  # fmt: skip
    """One router in one panel: its seeds, and mean and deviation below them."""
    mean, off = values.mean().item(), _deviation(values)
    fig.add_scatter(
        x=values.tolist(), y=[row] * len(values), mode="markers", row=1, col=col,
        marker=dict(symbol="circle-open" if hollow else "circle", size=9, color=color,
                    opacity=0.85, line=dict(width=2 if hollow else 0, color=color)),
        name=name, hovertemplate=f"{name}: %{{x:.3f}} {unit}<extra></extra>",
    )  # fmt: skip
    fig.add_scatter(
        x=[mean], y=[row + 0.26], mode="markers", row=1, col=col, name=f"{name}, mean",
        marker=dict(symbol="line-ns", size=5, line=dict(width=2, color=color)),
        error_x=dict(type="data", array=[off], thickness=1.5, width=0, color=color),
        hovertemplate=f"{name}: {mean:.3f} ± {off:.3f} {unit}<extra></extra>",
    )  # fmt: skip


def _deviation(values: Tensor) -> float:
    return values.std().item() if len(values) > 1 else 0.0


def _alt(ends: Mapping[str, Mapping[str, Tensor]]) -> str:
    bits = {arm: values.mean().item() for arm, values in ends["bits"].items()}
    alone = bits.pop(STEPWISE, None)
    cv = {
        arm: f"load CV {values.mean():.2f}, " for arm, values in ends["load cv"].items()
    }
    told = ", ".join(
        f"{arm} {bits[arm]:.3f} ({cv.get(arm, '')}{ends['seconds'][arm].mean():.0f} s)"
        for arm in sorted(bits, key=bits.get)
    )
    text = f"Bits per byte of held-out text at the end, the best first: {told}."
    if alone is None:
        return text
    return (
        f"{text} Step by step, without a view of what comes next, expert choice needs"
        f" {alone:.3f}."
    )
