"""What bfloat16 does to a router's softmax, on the reader's own tokens."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import torch

from moe_lib.course.precision import POLICIES, Probe, Rounding, by_scale
from moe_lib.figures.movie import add_frames
from moe_lib.figures.panels import COLOURS, DASHES, SYMBOLS, grid_of_panels
from moe_lib.figures.style import figure, look_of

SCALES = (0.25, 0.5, 1, 2, 4, 8, 16, 32)
SHOWN = 300  # about as many of the tokens that keep their expert
SMALLEST = 1e-5  # on the logarithmic axes
NAMES = {"float32": "float32", "island": "float32 inside", "bfloat16": "all bf16"}


def rounding_by_scale(
    seen: Probe,
    scales: Sequence[float] = SCALES,
    *,
    theme: str = "both",
    title: str = "What do large logits lose in bf16?",
) -> go.Figure:
    """Slide through the scale of the logits: tokens above, three policies below.

    A token can change its expert only where its error reaches half of its margin: on
    the line or above. All tokens that change are drawn, and some of the others.

    Args:
        seen: what a trained router saw.
        scales: what its logits are multiplied by, rising.
    """
    found = by_scale(seen, scales)
    fig = figure(title=title, height=760, theme=theme, alt=_alt(found, scales),
                 margin=dict(t=135, l=64, b=110))  # fmt: skip
    heads = [
        "error by p1 \u2212 p2, all bf16 (\u25c6 changes expert)",
        "largest error of a probability",
        "tokens that change expert, %",
    ]
    grid_of_panels(fig, 3, heads, vertical_spacing=0.11, row_heights=[0.5, 0.25, 0.25])
    look = look_of(theme)
    for mark in (
        dict(color=look.muted, size=5, opacity=0.6),
        dict(color=COLOURS[2], size=10, symbol="diamond",
             line=dict(color=look.ink, width=1)),
    ):  # fmt: skip
        fig.add_scatter(
            mode="markers", marker=mark, showlegend=False, row=1, col=1,
            hovertemplate="p1 \u2212 p2 %{x:.2g}, error %{y:.2g}<extra></extra>",
        )  # fmt: skip
    fig.add_scatter(
        x=[2 * SMALLEST, 0.004, 1], y=[SMALLEST, 0.002, 0.5], mode="lines+text",
        line=dict(color=look.ink, dash="dash", width=1.5), hoverinfo="skip",
        text=["", "half of p1 \u2212 p2", ""], textposition="bottom right",
        textfont=dict(size=12), showlegend=False, row=1, col=1,
    )  # fmt: skip
    tops = _add_policies(fig, found, scales)
    for row, top in zip((2, 3), tops, strict=True):
        fig.add_scatter(
            y=[0, top], mode="lines", showlegend=False, hoverinfo="skip",
            line=dict(color=look.ink, width=1.5), row=row, col=1,
        )  # fmt: skip
    changes = torch.stack([r.changed for r in found["bfloat16"]]).any(dim=0)
    others = (~changes).nonzero()[:, 0]
    shown = torch.cat(
        [changes.nonzero()[:, 0], others[:: max(1, len(others) // SHOWN)]]
    )
    states = [
        [*_cloud(r, shown), dict(x=[s, s]), dict(x=[s, s])]
        for r, s in zip(found["bfloat16"], scales, strict=True)
    ]
    moving = [0, 1, len(fig.data) - 2, len(fig.data) - 1]
    names = [f"{s:g}" for s in scales]
    add_frames(fig, states, moving, names, theme=theme, prefix="logits times ")
    small = [10.0**k for k in range(-5, 1)]
    powers = dict(type="log", tickvals=small, row=1,
                  ticktext=[f"{v:g}" for v in small])  # fmt: skip
    fig.update_xaxes(range=[-4.2, 0.15], **powers)
    fig.update_yaxes(range=[-5.2, -0.1], **powers)
    fig.update_legends(y=1.04)
    for row in (2, 3):
        fig.update_xaxes(type="log", tickvals=list(scales), row=row,
                         ticktext=[f"{s:g}" for s in scales])  # fmt: skip
        fig.update_yaxes(rangemode="tozero", row=row)
    return fig


def _add_policies(
    fig: go.Figure, found: dict[str, list[Rounding]], scales: Sequence[float]
) -> list[float]:
    """A line for each policy in the two lower panels; the largest value of each."""
    tops = []
    for row in (2, 3):
        top = 0.0
        for k, policy in enumerate(POLICIES):
            values = [
                r.error.max().item() if row == 2 else 100 * _share(r)
                for r in found[policy]
            ]
            top = max(top, *values)
            fig.add_scatter(
                x=list(scales), y=[round(v, 5) for v in values], mode="lines+markers",
                name=NAMES[policy], legendgroup=policy, showlegend=row == 2, row=row,
                col=1, line=dict(color=COLOURS[k], dash=DASHES[k], width=2),
                marker=dict(symbol=SYMBOLS[k], size=8),
            )  # fmt: skip
        tops.append(top)
    return tops


def _cloud(rounding: Rounding, shown: torch.Tensor) -> list[dict]:
    """The tokens that keep their expert at this scale, and those that change."""
    margin, error = rounding.margin[shown], rounding.error[shown]
    changed = rounding.changed[shown]
    return [
        dict(
            x=[float(f"{v:.3g}") for v in margin[of].clamp(min=2 * SMALLEST).tolist()],
            y=[float(f"{v:.3g}") for v in error[of].clamp(min=SMALLEST).tolist()],
        )
        for of in (~changed, changed)
    ]


def _share(rounding: Rounding) -> float:
    return rounding.changed.float().mean().item()


def _alt(found: dict[str, list[Rounding]], scales: Sequence[float]) -> str:
    told = ", ".join(
        f"{r.error.max():.3f} and {100 * _share(r):.2f} % at {s:g} times the logits"
        for r, s in zip(found["bfloat16"], scales, strict=True)
    )
    inside = found["island"][-1]
    return (
        f"{len(inside.error):,} tokens routed in bf16: the largest error of a"
        f" probability and the share of tokens that change expert are {told}. With"
        f" float32 inside they are {inside.error.max():.3f} and"
        f" {100 * _share(inside):.2f} % at the end."
    )
