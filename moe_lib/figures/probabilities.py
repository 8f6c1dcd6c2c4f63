"""The router's probabilities: one row of tints for each token."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import torch
from torch import Tensor

from moe_lib.figures.palette import colour
from moe_lib.figures.style import LOOKS, figure
from moe_lib.figures.tints import expert_scale
from moe_lib.figures.words import counted, require_tokens, sample_tokens
from moe_lib.notation import letter
from moe_lib.routing import Routing

MOST_TOKENS = 64
NAMED_ROW, PLAIN_ROW = 17, 6  # px: of a token with its text, without
TOP, BARS, BETWEEN, FOOT = 44, 70, 12, 100  # px: title, means, gap, sentences


def probabilities(
    routing: Routing,
    tokens: Sequence[str] | None = None,
    *,
    theme: str = "both",
    title: str = "How sure is the router of each token?",
) -> go.Figure:
    """A heat map of ``router_probs``, each expert's column in its colour; means above.

    Args:
        tokens: their texts; then the rows keep their order, else they are sorted by
            favourite expert. Of more than 64 tokens 64 are shown; the means and the
            numbers are of all that are not padding.

    Raises:
        ValueError: not one text for each token.
    """
    names = require_tokens(tokens, routing)
    probs = routing.router_probs.detach().cpu().double()  # [T, E]
    picked, sampled = sample_tokens(routing, MOST_TOKENS)
    if tokens is None:
        picked = _by_favourite(probs, picked)
    real = torch.ones(len(probs), dtype=torch.bool)
    if routing.token_mask is not None:
        real = routing.token_mask.cpu()
    experts, count = routing.num_experts, int(real.sum())
    mean = probs[real].sum(dim=0) / max(1, count)
    surest = float(probs[real].amax(dim=1).sum()) / max(1, count)
    told = f"favourite {surest:.2f} on average, undecided {1 / experts:.2g}"
    key = "the deeper, the likelier; full colour is 1"
    cells = max(120, len(picked) * (PLAIN_ROW if tokens is None else NAMED_ROW))
    inner = BARS + BETWEEN + cells
    fig = figure(
        alt=_alt(count, mean, told, sampled),
        title=f"<b>{title}</b>",
        x="<br>".join(filter(None, (key, told, sampled))),
        y="tokens, by favourite" if tokens is None else "",
        height=TOP + inner + FOOT,
        theme=theme,
        showlegend=False,
        bargap=0.15,
        margin=dict(t=TOP, b=FOOT, l=48 if tokens is None else 96),
    )
    shown = probs[picked]
    columns, rows = list(range(experts)), list(range(len(picked)))
    letters = [letter(e) for e in columns]
    fig.add_heatmap(
        x=columns, y=rows, zmin=0, zmax=experts, showscale=False, xgap=1,
        z=(shown.clamp(0.001, 0.999) + torch.arange(experts)).mul(1000).round()
        .div(1000).tolist(),
        colorscale=expert_scale(experts, theme),
        customdata=[[f"{names[t]}, {letters[e]}: {p:.2f}" for e, p in enumerate(row)]
                    for t, row in zip(picked, shown.tolist(), strict=True)],
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip
    fig.add_bar(
        x=columns, y=mean.tolist(), yaxis="y2", customdata=letters,
        marker_color=[colour(e, theme) for e in columns],
        hovertemplate="%{customdata}: %{y:.3f} on average<extra></extra>",
    )  # fmt: skip
    fig.add_scatter(
        x=[-0.5, experts - 0.5], y=[1 / experts] * 2, yaxis="y2", mode="lines",
        line=dict(color=LOOKS[theme].muted, dash="dash", width=1.5), hoverinfo="skip",
    )  # fmt: skip
    every = 1 + (experts - 1) // 16
    plain = dict(showgrid=False, ticks="", showline=False)
    fig.update_layout(
        xaxis=dict(
            range=[-0.5, experts - 0.5], tickvals=columns[::every], tickangle=0,
            ticktext=letters[::every], tickfont_size=11 if experts > 12 else 13,
            **plain,
        ),
        yaxis=dict(
            domain=[0, cells / inner], range=[len(rows) - 0.5, -0.5],
            showticklabels=tokens is not None, tickvals=rows, tickfont_size=12,
            ticktext=[names[t] for t in picked], **plain,
        ),
        yaxis2=dict(
            domain=[1 - BARS / inner, 1], anchor="x",
            title=dict(text="mean", font_size=13),
            range=[0, 1.1 * max(mean.tolist()) or 1], zeroline=False, nticks=3,
            gridcolor=LOOKS[theme].grid, ticks="", showline=False,
        ),
    )  # fmt: skip
    return fig


def _by_favourite(probs: Tensor, picked: list[int]) -> list[int]:
    """Sorted by favourite expert, the surest of each first."""
    best, owner = probs.max(dim=1)
    return sorted(picked, key=lambda t: (int(owner[t]), -float(best[t])))


def _alt(count: int, mean: Tensor, told: str, sampled: str) -> str:
    high, low = int(mean.argmax()), int(mean.argmin())
    parts = [
        f"Heat map of the router's probabilities, {counted(count, 'token')} by"
        f" {counted(len(mean), 'expert')}",
        f"highest on average: {letter(high)} with {mean[high]:.2f}, lowest"
        f" {letter(low)} with {mean[low]:.2f}",
        told,
        sampled,
    ]
    return "; ".join(filter(None, parts)) + "."
