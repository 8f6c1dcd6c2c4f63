"""Data x expert parallelism in pictures: who holds what, whose tokens meet where."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from moe_lib.accounting import FeedForward
from moe_lib.course.expert_costs import EXPERT, multiply_adds_per_number
from moe_lib.course.shrinking_batch import tokens_per_expert
from moe_lib.figures.palette import colour
from moe_lib.figures.style import figure, look_of
from moe_lib.notation import count_text, letter

DENSE = 2 * 4 * 512 * (512 + 512 + 2)  # parameters of the paper's two LSTMs
TALL = 180  # rows of an expert from which a device's part has room for its name


def shares_scene(
    *,
    devices: Sequence[int] = (1, 2, 4, 8),
    num_experts: int = 8,
    per_device: int = 2,
    batch: int = 1024,
    top_k: int = 2,
) -> dict:
    """A Player scene: d devices with a batch and a copy of the dense layers each.

    Two variants: ``num_experts`` in all, shared out; or ``per_device`` on each. Loads
    are taken to be even.

    Args:
        devices: d of each state; each divides ``num_experts``.
        batch: tokens of one device, each of which goes to ``top_k`` experts.

    Raises:
        ValueError: a d that does not divide ``num_experts``.
    """
    for d in devices:
        if num_experts % d:
            raise ValueError(
                f"devices={list(devices)}: {d} does not divide {num_experts} experts,"
                " give divisors"
            )
    variants = {
        f"{num_experts} experts in all": [num_experts] * len(devices),
        f"{per_device} experts on each device": [per_device * d for d in devices],
    }
    most = max(
        tokens_per_expert(batch, top_k, n, d)
        for counts in variants.values()
        for n, d in zip(counts, devices, strict=True)
    )
    shared, each = (
        [f"{tokens_per_expert(batch, top_k, counts[i], devices[i]):,.0f}"
         for i in (0, -1)]
        for counts in variants.values()
    )  # fmt: skip
    last = devices[-1]
    return {
        "title": "How does an expert get its batch back?",
        "alt": f"Left: a column for each of up to {last} devices, with its batch, its"
        " copy of the dense layers and its experts' letters. Right: the rows of expert"
        f" A, stacked by the device they come from. With {num_experts} experts in all"
        f" expert A gets {shared[0]} rows from {devices[0]} device and {shared[1]} from"
        f" {last}; with {per_device} experts on each device {each[0]} and {each[1]}.",
        "caption": "Every device has its own batch and its own copy of the dense"
        " layers. Each expert exists once: the tokens of all devices come to it.",
        "slider": {"label": "devices d", "values": [str(d) for d in devices]},
        "variants": {"label": "there are", "names": list(variants)},
        "start": len(devices) - 1,
        "play": False,
        "panels": [
            {"title": "Who holds what", "weight": 3, "layers": [],
             "x": {"label": "device", "range": [0.4, last + 0.6],
                   "ticks": list(range(1, last + 1))},
             "y": {"label": "on each device", "range": [-0.7, num_experts + 1.7],
                   "ticks": [[0, "batch"], [1, "dense"], [2, "experts"]]}},
            {"title": "Whose tokens meet at expert A", "weight": 2, "layers": [],
             "x": {"range": [0, 1], "ticks": [[0.5, "expert A"]]},
             "y": {"label": "rows", "range": [0, 1.06 * most]}},
        ],
        "legend": [
            {"shape": "disc", "color": "ink", "text": f"a batch of {batch:,} tokens"},
            {"shape": "square", "color": "muted", "text": "a copy of the dense layers"},
            {"shape": "badge", "color": 0, "text": "an expert, held once"},
        ],
        "states": [
            [_state(n, d, batch, top_k) for n, d in zip(counts, devices, strict=True)]
            for counts in variants.values()
        ],
    }  # fmt: skip


def _state(n: int, d: int, batch: int, top_k: int) -> dict:
    here = n // d  # experts on a device
    everyone = list(range(1, d + 1))
    held = [
        {"type": "points", "x": everyone, "y": [0] * d, "color": "ink", "size": 6},
        {"type": "points", "x": everyone, "y": [1] * d, "color": "muted", "size": 7,
         "shape": "square"},
    ]  # fmt: skip
    for e in range(n):  # a line without length: its label is the expert's badge
        at = {"x": [1 + e // here], "y": [2 + e % here]}
        held.append({"type": "line", **at, "color": e % 8, "label": letter(e)})
    rows = tokens_per_expert(batch, top_k, n, d)
    parts = []
    for i in range(d):
        low, high = i * rows / d, (i + 1) * rows / d
        parts.append({"type": "band", "x": [0.2, 0.8], "low": [low, low], "color": 0,
                      "high": [high, high], "opacity": (0.75, 0.4)[i % 2]})  # fmt: skip
        if rows / d >= TALL:
            parts.append({"type": "text", "x": 0.5, "y": (low + high) / 2,
                          "text": f"device {i + 1}", "anchor": "middle"})  # fmt: skip
    mine = here * EXPERT.expert_parameters
    return {
        "panels": [held, parts],
        "readout": [
            ["rows of an expert, k b d / n", f"{rows:,.0f}"],
            ["parameters on a device", count_text(DENSE + mine)],
            ["of them experts", count_text(mine)],
            ["different parameters in all", count_text(DENSE + d * mine)],
        ],
    }


def compute_over_traffic(
    widths: Sequence[int] = (64, 128, 256, 512, 1024, 2048, 4096, 8192),
    levels: Mapping[str, float] | None = None,
    *,
    theme: str = "both",
    title: str = "How wide must an expert be?",
) -> go.Figure:
    """Multiply-adds for each number sent, over an expert's hidden size, both log.

    Args:
        widths: hidden sizes h, rising.
        levels: name -> multiply-adds that a machine does in the time in which it moves
            one number; a level line each.
    """
    levels, sizes = levels or {}, list(widths)
    ratio = [multiply_adds_per_number(FeedForward(512, h)) for h in sizes]
    told = "; ".join(f"{name}: {value:,.0f}" for name, value in levels.items())
    fig = figure(
        alt=f"Multiply-adds for each number sent against the hidden size, both"
        f" logarithmic: a straight line from {ratio[0]:,.0f} at {sizes[0]:,} to"
        f" {ratio[-1]:,.0f} at {sizes[-1]:,}."
        + (f" Level lines: {told}." if told else ""),
        title=title,
        x="hidden size h of an expert, log scale",
        y="multiply-adds per number, log scale",
        height=360,
        theme=theme,
        showlegend=False,
    )  # fmt: skip
    blue, look = colour(4, theme), look_of(theme)
    fig.add_scatter(
        x=sizes, y=ratio, mode="lines+markers", line=dict(color=blue, width=2.5),
        hovertemplate="h = %{x}: %{y:,.4g} multiply-adds per number<extra></extra>",
    )  # fmt: skip
    for name, value in levels.items():
        fig.add_scatter(
            x=[sizes[0], sizes[-1]], y=[value, value], mode="lines",
            line=dict(color=look.ink, width=1.5, dash="dash"), hoverinfo="skip",
        )  # fmt: skip
        fig.add_scatter(
            x=sizes[-1:], y=[value / 1.2], mode="text", text=[f"{name}: {value:,.0f}"],
            textposition="bottom left", hoverinfo="skip",
        )  # fmt: skip
    low, high = (math.log10(f([*ratio, *levels.values()])) for f in (min, max))
    ticks = [10**p for p in range(10)]
    fig.update_xaxes(
        type="log", tickvals=sizes, tickangle=0,
        ticktext=["" if i % 2 else f"{h:,}" for i, h in enumerate(sizes)],
    )  # fmt: skip
    fig.update_yaxes(type="log", tickvals=ticks, ticktext=[*map(count_text, ticks)],
                     range=[low - 0.4, high + 0.2])  # fmt: skip
    return fig
