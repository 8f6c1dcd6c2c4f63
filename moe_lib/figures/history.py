"""Who gets the tokens over training: a movie that plays without a kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import plotly.graph_objects as go
from torch import Tensor

from moe_lib.figures.movie import add_frames
from moe_lib.figures.palette import PAPER, colour
from moe_lib.figures.shares import Loads, checked_steps, load_words, shares_of
from moe_lib.figures.style import LOOKS, figure
from moe_lib.figures.words import plain, sample
from moe_lib.notation import letter

MOST_FRAMES = 40
TOP, ROW, GAP, FOOT = 66, 170, 56, 100  # px: title, a run, between runs, controls
NAMED = 0.06  # a band gets its letter from this share on


def history(
    runs: Loads | Mapping[str, Loads],
    steps: Sequence[int] | None = None,
    *,
    theme: str = "both",
    title: str = "Who gets the tokens as training goes on?",
) -> go.Figure:
    """Load per expert, step by step: bars for now, and beside them the way there.

    Args:
        runs: counts or shares ``[S, E]``, a row for each step; or S routings, of which
            the rows count that asked for an expert, kept or not. A mapping of names to
            either shows the runs below one another, under one slider.
        steps: the S training steps, rising; None: 0..S-1.

    Of more than 40 steps 40 are drawn, and the picture says so.

    Raises:
        ValueError: no run, or runs of unlike length; a load that is negative or not
            finite; steps that do not fit or do not rise.
    """
    named = runs if isinstance(runs, Mapping) else {"": runs}
    tables = {name: shares_of(name, loads) for name, loads in named.items()}
    steps = checked_steps(steps, tables)
    keep, thinned = sample(len(steps), MOST_FRAMES, "steps")
    drawn = [steps[i] for i in keep]
    shown = {name: shares[keep] for name, shares in tables.items()}
    most = 1.1 * max(float(shares.max()) for shares in shown.values()) or 1.0
    inner = len(shown) * (ROW + GAP) - GAP  # px
    fig = figure(
        alt=_alt(tables, steps, thinned),
        title=f"<b>{title}</b>",
        height=TOP + inner + FOOT,
        theme=theme,
        showlegend=False,
        margin=dict(l=48, r=26, t=TOP, b=FOOT),
    )
    moving, states = [], []  # which traces change, and how, step by step
    for row, (name, shares) in enumerate(shown.items()):
        top = 1 - row * (ROW + GAP) / inner
        domain = [max(0.0, top - ROW / inner), top]
        fig.update_layout(_axes(row, domain, shares.shape[1], most, drawn, theme))
        fig.add_traces(_bands(row, shares, drawn, theme))
        moving += [len(fig.data) + k for k in (0, 1, 2)]
        fig.add_traces(_now(row, shares.shape[1], most, theme))
        states.append(_states(name, shares, drawn))
    frames = [[*chain(*parts)] for parts in zip(*states, strict=True)]
    names = [str(step) for step in drawn]
    suffix = f" ({thinned})" if thinned else ""
    add_frames(fig, frames, moving, names, theme=theme, prefix="step ", suffix=suffix)
    return fig


def _alt(tables: Mapping[str, Tensor], steps: list[int], thinned: str) -> str:
    told = [
        f"{name}{': ' * bool(name)}at step {steps[0]} {load_words(shares[0])}; at step"
        f" {steps[-1]} {load_words(shares[-1])}."
        for name, shares in tables.items()
    ]
    return (
        f"Movie of each expert's share of the tokens, steps {steps[0]} to"
        f" {steps[-1]}: bars against the fair share, and bands of all steps. "
        + " ".join([*told, f"{thinned}." if thinned else ""]).strip()
    )


def _axes(
    row: int, domain: list[float], experts: int, most: float, steps: list[int], theme
) -> dict:
    """Of one run: bars on the axes 2 row + 1, bands of all steps on 2 row + 2."""
    bars, bands = 2 * row + 1, 2 * row + 2
    shown = list(range(0, experts, 1 + (experts - 1) // 16))
    plain = dict(ticks="", showline=False, zeroline=False)
    letters = dict(tickvals=shown, ticktext=[letter(e) for e in shown],
                   tickfont_size=11 if len(shown) > 12 else 13)  # fmt: skip
    return {
        f"xaxis{bars}": dict(domain=[0, 0.56], anchor=f"y{bars}", **plain, **letters,
                             showgrid=False, tickangle=0,
                             range=[-0.6, experts - 0.4]),
        f"xaxis{bands}": dict(domain=[0.64, 1], anchor=f"y{bands}", **plain, nticks=5,
                              range=[steps[0], steps[-1]]),
        f"yaxis{bars}": dict(domain=domain, anchor=f"x{bars}", range=[0, most],
                             nticks=5, tickformat=".0%", **plain,
                             gridcolor=LOOKS[theme].grid),
        f"yaxis{bands}": dict(domain=domain, anchor=f"x{bands}", range=[0, 1], **plain,
                              showticklabels=False),
    }  # fmt: skip


def _bands(row: int, shares: Tensor, steps: list[int], theme: str) -> list[dict]:
    """The shares of all steps, stacked, and the letters of the widest at the end."""
    axes = dict(type="scatter", xaxis=f"x{2 * row + 2}", yaxis=f"y{2 * row + 2}")
    line = dict(width=0.8, color=PAPER.get(theme, "#fff"))
    traces = [
        dict(x=steps, y=[round(v, 4) for v in column], mode="lines", line=line,
             stackgroup=f"run {row}", fillcolor=colour(e, theme), **axes,
             hovertemplate=f"{letter(e)}, step %{{x}}: %{{y:.1%}}<extra></extra>")
        for e, column in enumerate(shares.T.tolist())
    ]  # fmt: skip
    last, middle = shares[-1], shares[-1].cumsum(0) - shares[-1] / 2
    wide = (last > NAMED).nonzero().flatten().tolist()
    names = dict(
        x=[steps[-1]] * len(wide), y=middle[wide].tolist(), mode="text",
        text=[f" {letter(e)}" for e in wide], textposition="middle right",
        textfont_size=11, cliponaxis=False, hoverinfo="skip", **axes,
    )  # fmt: skip
    return [*traces, names]


def _now(row: int, experts: int, most: float, theme: str) -> list[dict]:
    """The three that move, bars, cursor over the bands and numbers; and fair share."""
    left = dict(xaxis=f"x{2 * row + 1}", yaxis=f"y{2 * row + 1}")
    edges, everyone = [-0.6, experts - 0.4], range(experts)
    bars = dict(
        type="bar", x=list(everyone), customdata=[letter(e) for e in everyone],
        marker_color=[colour(e, theme) for e in everyone], **left,
        hovertemplate="%{customdata}: %{y:.1%}<extra></extra>",
    )  # fmt: skip
    cursor = dict(
        type="scatter", y=[0, 1], mode="lines+markers", cliponaxis=False,
        line=dict(width=2, color=PAPER.get(theme, "#fff")), hoverinfo="skip",
        marker=dict(symbol=["triangle-up", "triangle-down"], size=9,
                    color=LOOKS[theme].muted),
        xaxis=f"x{2 * row + 2}", yaxis=f"y{2 * row + 2}",
    )  # fmt: skip
    numbers = dict(
        type="scatter", x=edges[:1], y=[most], mode="text", cliponaxis=False,
        textposition="top right", hoverinfo="skip", **left,
    )  # fmt: skip
    fair = dict(
        type="scatter", x=edges, y=[1 / experts] * 2, mode="lines", **left,
        line=dict(color=LOOKS[theme].muted, dash="dash", width=1.5),
        hovertemplate=f"fair share: {1 / experts:.1%}<extra></extra>",
    )  # fmt: skip
    return [bars, cursor, numbers, fair]


def _states(name: str, shares: Tensor, steps: list[int]) -> list[list[dict]]:
    """For each step, what bars, cursor and numbers show."""
    called = f"<b>{plain(name)}</b>: " if name else ""
    return [
        [dict(type="bar", y=[round(v, 4) for v in share.tolist()]),
         dict(type="scatter", x=[step, step]),
         dict(type="scatter", text=[called + load_words(share)])]
        for step, share in zip(steps, shares, strict=True)
    ]  # fmt: skip
