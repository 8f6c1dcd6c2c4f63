"""The routing map: tokens by experts, what the router wished and what it got."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from moe_lib.figures.drawing import (
    CROSSED,
    badges,
    box,
    canvas,
    legend_of,
    marker,
    path,
)
from moe_lib.figures.grammar import FATES, Marks, marks, unserved
from moe_lib.figures.palette import PAPER
from moe_lib.figures.style import look_of
from moe_lib.figures.tints import expert_scale
from moe_lib.figures.words import counted, fates, require_tokens, sample_tokens, story
from moe_lib.notation import letter
from moe_lib.routing import Routing

PHONE = 280  # px between the axes on a phone


def routing_map(
    routing: Routing,
    tokens: Sequence[str] | None = None,
    *,
    theme: str = "both",
    title: str = "Which expert serves which token?",
    max_tokens: int = 64,
) -> go.Figure:
    """A row for each token, a column for each expert.

    The tint of a cell is the router's probability. A mark is an assignment: its shape
    the rank of the choice, its size the weight; filled where it was kept, hollow where
    it was dropped (then the size means nothing: the weight is 0). A dashed row is a
    token without an expert.

    Args:
        tokens: the texts, T of them; None: numbers from 1.
        max_tokens: with more tokens, so many are drawn, evenly spaced.

    Raises:
        ValueError: not one text for each token; an unknown theme.
    """
    names = require_tokens(tokens, routing)
    picked, said = sample_tokens(routing, max_tokens)
    experts, rows = routing.num_experts, marks(routing)
    place = {t: y for y, t in enumerate(picked)}
    alone = [place[t] for t in unserved(routing) if t in place]
    height = 26 if len(picked) <= 20 else 20 if len(picked) <= 40 else 15
    size = max(min(height - 7, PHONE / experts / 1.35), 5)  # a diamond is wide
    told = fates(routing)
    tint = "Tint: router probability. Size: weight."
    if rows.chooser == "all":
        tint += " Every expert serves every token."
    fig = canvas(
        alt=f"Map of {counted(routing.num_tokens, 'token')} by"
        f" {counted(experts, 'expert')}{f' ({said})' if said else ''}."
        f" {story(routing)}",
        title=title,
        notes=[f"{told}.", tint, *([f"Shown: {said}."] if said else [])],
        inner=max(len(picked), 2) * height,
        theme=theme,
        left=_room(names, picked),
        top=30,
        legend=[*legend_of(rows, theme, size > CROSSED), *_dashed(alone, theme)],
        xaxis=dict(range=[-0.5, experts - 0.5]),
        yaxis=dict(range=[max(len(picked), 2) - 0.5, -0.5], visible=True, ticks="",
                   showline=False, ticklabelstandoff=6,
                   tickvals=list(range(len(picked))),
                   ticktext=[names[t] for t in picked],
                   tickfont_size=13 if height > 15 else 11),
    )  # fmt: skip
    fig.add_trace(_tints(routing, picked, names, theme))
    fig.add_traces([*_assignments(rows, place, size, theme)])
    edge = 0.5 - 0.02 * experts / 8
    outline = path(
        (box(-edge, y - 0.42, experts - 1 + edge, y + 0.42) for y in alone),
        line=dict(color=look_of(theme).ink, width=1.2, dash="dash"),
    )
    shapes, letters = badges(range(experts), range(experts), theme, "top")
    return fig.update_layout(shapes=[*outline, *shapes], annotations=letters)


def _tints(
    routing: Routing, picked: list[int], names: list[str], theme: str
) -> go.Heatmap:
    experts = routing.num_experts
    probs = routing.router_probs.detach().cpu().double().numpy()[picked]
    tint = probs.clip(0, 0.999)  # 1 is the next expert's 0
    return go.Heatmap(
        z=np.round(np.arange(experts) + tint, 3).tolist(),
        zmin=0, zmax=experts, showscale=False, xgap=2, ygap=2,
        colorscale=expert_scale(experts, theme),
        opacity=0.5 if theme == "both" else 0.7,
        text=[[f"{names[t]}<br>{letter(e)}: {p:.0%}" for e, p in enumerate(row)]
              for t, row in zip(picked, probs.tolist(), strict=True)],
        hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip


def _assignments(rows: Marks, place: dict[int, int], size: float, theme: str):
    """A trace of filled marks and a trace of hollow ones."""
    seen = rows.real & np.isin(rows.token, list(place))
    most = max(rows.weight.max(initial=0), 1e-9)
    halo = PAPER.get(theme, "rgba(0,0,0,0)")
    for name, chosen in (("kept", seen & rows.kept), ("dropped", seen & ~rows.kept)):
        which = np.flatnonzero(chosen)
        expert, fate = rows.expert[which].tolist(), rows.fate[which].tolist()
        told, sizes, line = (
            [FATES[f] for f in fate],
            size,
            dict(width=1.6 if size > CROSSED else 1.2),
        )
        if name == "kept":
            weight = rows.weight[which]
            told = [f"weight {w:.3f}" for w in weight.tolist()]
            sizes = size * (0.3 + 0.7 * np.sqrt(weight.clip(0) / most))
            sizes, line = sizes.round(1).tolist(), dict(width=1, color=halo)
        yield go.Scatter(
            x=expert, y=[place[t] for t in rows.token[which].tolist()],
            mode="markers", name=name, showlegend=False, customdata=told,
            marker=marker(rows.symbol[which].tolist(), fate, expert, theme,
                          crossed=size > CROSSED, size=sizes, line=line),
            hovertemplate="%{customdata}<extra></extra>",
        )  # fmt: skip


def _dashed(alone: list[int], theme: str) -> list[go.Scatter]:
    """The legend's word for a dashed row, where there is one."""
    line = dict(color=look_of(theme).ink, width=1.2, dash="dash")
    return [go.Scatter(x=[None], y=[None], mode="lines", line=line,
                       name="no expert")] if alone else []  # fmt: skip


def _room(names: list[str], picked: list[int]) -> int:
    """Pixels for the longest name at the left."""
    return 22 + round(7.5 * max((len(names[t]) for t in picked), default=0))
