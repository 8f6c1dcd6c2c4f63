"""Each token as a point between the experts: the probability simplex."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from torch import Tensor

from moe_lib.figures.drawing import hollow
from moe_lib.figures.grammar import marks
from moe_lib.figures.palette import PAPER, colour
from moe_lib.figures.polygon import (
    corner_places,
    draw_ground,
    name_corners,
    stacked,
)
from moe_lib.figures.style import LOOKS, figure
from moe_lib.figures.words import counted, require_tokens, sample_tokens
from moe_lib.notation import letter
from moe_lib.routing import Routing

MOST_TOKENS = 500


def simplex(
    routing: Routing,
    tokens: Sequence[str] | None = None,
    *,
    experts: Sequence[int] | None = None,
    theme: str = "both",
    title: str = "Between which experts does the router waver?",
) -> go.Figure:
    """A corner for each expert; a token is the nearer, the likelier its expert.

    Two experts are a line, three a triangle in which every point is one set of
    probabilities. More are projected on a polygon, where unlike tokens may meet; the
    picture says so. A mark has the colour of the expert that serves the token with
    most weight and the shape of that choice; it is hollow where no expert serves it.

    Args:
        tokens: their texts, to hover over. Of more than 500, 500 are shown.
        experts: only these, their probabilities made to sum to 1.

    Raises:
        ValueError: not one text for each token; an expert that is not there, or twice.
    """
    names = require_tokens(tokens, routing)
    corners = _checked_experts(experts, routing.num_experts)
    probs = routing.router_probs.detach().cpu().double()
    among = probs[:, corners]  # [T, corners]
    total = among.sum(dim=1)
    picked, sampled = sample_tokens(routing, MOST_TOKENS)
    shown = [t for t in picked if total[t] > 0]
    share = among[shown] / total[shown].unsqueeze(1)
    expert, symbol, served = _best_rows(routing, probs)
    alone = sum(not served[t] for t in shown)
    left = len(picked) - len(shown)
    notes = [
        _reading(corners, experts is not None),
        f"hollow: {counted(alone, 'token')} without an expert" if alone else "",
        f"{counted(left, 'token')} left out: no chance of these" if left else "",
        sampled,
    ]
    fig = figure(
        alt=_alt(corners, share, notes),
        title=f"<b>{title}</b>",
        x="<br>".join(filter(None, notes)),
        height=480 if len(corners) > 2 else 320,
        theme=theme,
        showlegend=False,
        margin=dict(t=44, l=20, r=20),
    )
    places = corner_places(len(corners))  # [corners, 2]
    draw_ground(fig, places, corners, theme)
    xy = share @ places
    if len(corners) < 3:
        xy[:, 1] = stacked(xy[:, 0])
    colours = [colour(int(expert[t]), theme) for t in shown]
    fig.add_scatter(
        x=xy[:, 0].round(decimals=3).tolist(), y=xy[:, 1].round(decimals=3).tolist(),
        mode="markers", text=[names[t] for t in shown],
        customdata=[_favourites(probs[t]) for t in shown],
        hovertemplate="%{text}: %{customdata}<extra></extra>",
        marker=dict(
            symbol=[str(symbol[t]) for t in shown], size=9, color=colours, opacity=0.85,
            line=dict(width=[0.8 if served[t] else 1.6 for t in shown],
                      color=[PAPER.get(theme, LOOKS[theme].grid) if served[t] else mark
                             for t, mark in zip(shown, colours, strict=True)]),
        ),
    )  # fmt: skip
    name_corners(fig, places, corners, theme)
    return fig


def _best_rows(
    routing: Routing, probs: Tensor
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each token: expert, symbol, and whether any expert serves it.

    Of its rows the kept one with most weight; else its first; a token that no row is
    about has its favourite's colour.
    """
    rows = marks(routing)
    expert = probs.argmax(dim=1).numpy().copy()
    symbol = np.full(len(probs), "circle-open", dtype="<U20")
    served = np.zeros(len(probs), dtype=bool)
    worst_first = np.lexsort((-rows.choice, rows.weight, rows.kept))
    for row in worst_first:
        token = rows.token[row]
        expert[token], served[token] = rows.expert[row], rows.kept[row]
        mark = rows.symbol[row]
        symbol[token] = mark if served[token] else hollow(mark, rows.fate[row])
    return expert, symbol, served


def _checked_experts(experts: Sequence[int] | None, num_experts: int) -> list[int]:
    if experts is None:
        return list(range(num_experts))
    chosen = [int(e) for e in experts]
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"experts={chosen}: give some experts, each once")
    if missing := [e for e in chosen if not 0 <= e < num_experts]:
        raise ValueError(
            f"experts={chosen} but num_experts={num_experts}: there is no {missing[0]};"
            f" give numbers from 0 to {num_experts - 1}"
        )
    return chosen


def _reading(corners: list[int], chosen: bool) -> str:
    """How the picture is to be read."""
    if len(corners) > 3:
        return f"{len(corners)} probabilities in two dimensions: unlike tokens may meet"
    if chosen:
        return f"only {', '.join(map(letter, corners))}, their sum made 1"
    return "at a corner: sure of this expert; in the middle: undecided"


def _favourites(probs: Tensor) -> str:
    top = probs.topk(min(3, len(probs)))
    return ", ".join(f"{letter(e)} {p:.2f}" for p, e in zip(
        top.values.tolist(), top.indices.tolist(), strict=True))  # fmt: skip


def _alt(corners: list[int], share: Tensor, notes: list[str]) -> str:
    names = [letter(e) for e in corners]
    listed = names if len(names) <= 16 else [*names[:3], "...", names[-1]]
    first = share.argmax(dim=1).bincount(minlength=len(corners)).tolist()
    most = sorted(range(len(corners)), key=lambda k: -first[k])[:8]
    near = ", ".join(f"{names[k]} {first[k]}" for k in most if first[k])
    sure = int((share.amax(dim=1) > 0.9).sum())
    told = [
        f"{counted(len(share), 'token')} between the corners {', '.join(listed)}",
        f"likeliest expert: {near}" if near else "",
        f"{sure} of them with a probability above 0.9",
        *notes,
    ]
    return "; ".join(filter(None, told)) + "."
