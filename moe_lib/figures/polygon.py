"""The ground of the probability simplex: a line, a triangle, a polygon."""

from __future__ import annotations

import math

import plotly.graph_objects as go
import torch
from torch import Tensor

from moe_lib.figures.palette import colour, ink_on
from moe_lib.figures.style import LOOKS
from moe_lib.figures.tints import faded
from moe_lib.notation import letter

BADGES = 26  # of more corners only every few is named
BINS = 60  # of the line between two experts; tokens in one bin stand on one another


def corner_places(count: int) -> Tensor:
    """``[count, 2]``: a line, or a regular polygon, the first on top, clockwise."""
    if count < 3:
        return torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)[:count]
    angle = math.pi / 2 - 2 * math.pi * torch.arange(count).double() / count
    return torch.stack((angle.cos(), angle.sin()), dim=1)


def stacked(x: Tensor) -> Tensor:
    """Heights that put tokens of the same bin on one another, 0 to 1."""
    height, tallest = [], {}
    for spot in (x * BINS / 2).round().tolist():
        tallest[spot] = tallest.get(spot, -1) + 1
        height.append(tallest[spot])
    return 0.04 + torch.tensor(height).double() / max(24, max(height, default=0) + 1)


def draw_ground(fig: go.Figure, places: Tensor, corners: list[int], theme: str) -> None:
    """The outline; in a triangle also each expert's own third, faintly tinted."""
    look, count = LOOKS[theme], len(places)
    outline = [*range(count), 0]
    fig.add_scatter(
        x=places[outline, 0].tolist(), y=places[outline, 1].tolist(), mode="lines",
        line=dict(color=look.muted, width=1.5), hoverinfo="skip",
    )  # fmt: skip
    if count == 3:
        for k, e in enumerate(corners):
            there, back = ((places[k] + places[j]) / 2 for j in (k - 1, k - 2))
            third = torch.stack((places[k], there, 0 * there, back, places[k]))
            fig.add_scatter(
                x=third[:, 0].tolist(), y=third[:, 1].tolist(), mode="lines",
                line=dict(color=look.grid, width=1), fill="toself", hoverinfo="skip",
                fillcolor=faded(colour(e, theme), 0.14),
            )  # fmt: skip
    wide = 1.2 if count > 2 else 1.1
    fig.update_xaxes(range=[-wide, wide], showgrid=False, showticklabels=False,
                     ticks="", showline=False, constrain="domain")  # fmt: skip
    if count > 2:
        low = -0.72 if count == 3 else -wide
        fig.update_yaxes(range=[low, wide], scaleanchor="x", constrain="domain")
    else:
        fig.update_yaxes(range=[-0.15, 1.1])
    fig.update_yaxes(visible=False)


def name_corners(
    fig: go.Figure, places: Tensor, corners: list[int], theme: str
) -> None:
    """The experts' letters on their colours, just outside their corners."""
    every = -(-len(corners) // BADGES)
    named = slice(0, len(corners) - every + 1, every)  # no last one beside the first
    out = places * 1.1 if len(corners) > 2 else places - torch.tensor([0, 0.08])
    colours = [colour(e, theme) for e in corners[named]]
    fig.add_scatter(
        x=out[named, 0].tolist(), y=out[named, 1].tolist(), mode="markers+text",
        text=[f"<b>{letter(e)}</b>" for e in corners[named]], cliponaxis=False,
        textfont=dict(color=[ink_on(ground) for ground in colours], size=12),
        marker=dict(symbol="square", size=20, color=colours, opacity=1),
        hoverinfo="skip",
    )  # fmt: skip
