"""Loss of models with more and more experts: by steps, by time, by parameters."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from moe_lib.course.scaling_ladder import Ladder
from moe_lib.course.scaling_tables import spread, times
from moe_lib.figures.palette import THEMES
from moe_lib.figures.panels import SYMBOLS
from moe_lib.figures.style import figure, look_of

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "solid", "dash")
VIEWS = {
    "steps": "training steps, log scale",
    "processor time": "seconds of processor time, log scale",
    "parameters": "parameters, log scale",
}


def loss_by(
    ladder: Ladder,
    view: str = "steps",
    *,
    theme: str = "both",
    title: str = "What do more experts bring at equal arithmetic?",
) -> go.Figure:
    """Bits per byte of held-out text, a line for each model, mean and spread of seeds.

    Buttons change what it is drawn against. A horizontal bar marks how much sooner the
    standard mixture is where the dense model ends.

    Args:
        view: "steps", "processor time" or "parameters", to open with.

    Raises:
        ValueError: no such view.
    """
    if view not in VIEWS:
        raise ValueError(f"view={view!r}: choose one of {', '.join(VIEWS)}")
    large = ladder.best("large")
    arms = [ladder.dense, *ladder.rungs.values(), *([large] if large else [])]
    fig = figure(
        alt=_alt(ladder, arms), title=title, y="bits per byte", height=560, theme=theme,
        margin=dict(t=180, l=60, b=56),
    )  # fmt: skip
    look = look_of(theme)
    for k, arm in enumerate(arms):
        colour = THEMES[theme][k] if k else look.ink
        fig.add_scatter(
            mode="lines+markers", name=arm,
            line=dict(color=colour, width=2, dash=DASHES[k % 7]),
            marker=dict(symbol=SYMBOLS[k % 7], size=8, color=colour),
            error_y=dict(type="data", thickness=1, width=3, color=colour),
            hovertemplate=f"{arm}<br>%{{x:,.4g}}: %{{y:.3f}}<extra></extra>",
        )  # fmt: skip
    fig.add_scatter(
        mode="lines+markers", hoverinfo="skip", showlegend=False,
        line=dict(color=look.ink, width=3),
        marker=dict(symbol="line-ns", size=14, line=dict(width=3, color=look.ink)),
    )  # fmt: skip
    fig.add_scatter(mode="lines", hoverinfo="skip", showlegend=False,
                    line=dict(color=look.muted, width=1.5, dash="dot"))  # fmt: skip
    states = {name: _state(ladder, arms, name) for name in VIEWS}
    for trace, x, y, bars in zip(fig.data, *states[view][0].values(), strict=True):
        trace.update(x=x, y=y, error_y=dict(array=bars))
    fig.update_layout(states[view][1], xaxis_type="log")
    buttons = [dict(label=f"by {name}", method="update", args=list(state))
               for name, state in states.items()]  # fmt: skip
    return fig.update_layout(updatemenus=[dict(
        type="buttons", direction="left", active=list(VIEWS).index(view), x=0,
        xanchor="left", y=1, yanchor="bottom", pad=dict(b=92, t=0, l=0, r=0),
        bgcolor="rgba(0,0,0,0)", bordercolor=look.muted, font=dict(size=12),
        showactive=False, buttons=buttons,
    )])  # fmt: skip


def _state(ladder: Ladder, arms: Sequence[str], view: str) -> tuple[dict, dict]:
    """What a button changes: x, y and spread of all traces; axis and words."""
    lines = [_line(ladder, arm, view) for arm in arms]
    bar, words = _saved(ladder, view)
    path = _path(ladder) if view == "parameters" else ([], [], [])
    ticks = sorted({_ticks(ladder.parameters(arm)) for arm in arms})
    traces = {
        name: [*(line[k] for line in lines), bar[k], path[k]]
        for k, name in enumerate(("x", "y", "error_y.array"))
    }
    axis = {"xaxis.title.text": VIEWS[view], "xaxis.autorange": True}
    if view == "parameters":
        axis |= {"xaxis.tickmode": "array", "xaxis.tickvals": ticks,
                 "xaxis.ticktext": [f"{t // 1000}k" for t in ticks]}  # fmt: skip
    else:
        axis |= {"xaxis.tickmode": "auto"}
    return traces, {**axis, "annotations": words}


def _line(ladder: Ladder, arm: str, view: str) -> tuple[list, list, list]:
    """x, mean and standard deviation of one model; by parameters only at the end."""
    bits = ladder.bits(arm)
    if view == "parameters":
        x, bits = [ladder.parameters(arm)], bits[:, -1:]
    elif view == "steps":
        x = list(ladder.steps)
    else:
        x = ladder.seconds(arm).mean(dim=0).tolist()
    off = bits.std(dim=0) if len(bits) > 1 else 0 * bits[0]
    return x, bits.mean(dim=0).tolist(), off.tolist()


def _path(ladder: Ladder) -> tuple[list, list, list]:
    """From the dense model through all mixtures, at the end of the training."""
    points = [
        _line(ladder, a, "parameters") for a in (ladder.dense, *ladder.rungs.values())
    ]
    return tuple(
        [value for part in parts for value in part]
        for parts in zip(*points, strict=True)
    )


def _saved(ladder: Ladder, view: str) -> tuple[tuple[list, list, list], list[dict]]:
    """The bar between the standard mixture and the dense model, and what it says."""
    if view == "parameters":
        return ([], [], []), []
    what = "steps" if view == "steps" else "seconds"
    first, last = (ladder.reached(a, what) for a in (ladder.standard, ladder.dense))
    level, ratio = ladder.level.mean().item(), ladder.speed_up(ladder.standard, what)
    if first.isinf().any():
        ends, text = [], f"{ladder.standard} does not reach the dense model's last loss"
    else:
        ends = [first.mean().item(), last.mean().item()]
        text = f"{ladder.standard}: the dense model's last loss<br>in {view}"
        text += f" divided by {spread(ratio, 2)}"
    words = dict(text=text, showarrow=False, xref="paper", yref="paper", x=0.98, y=0.98,
                 xanchor="right", yanchor="top", align="right")  # fmt: skip
    return (ends, [level] * len(ends), [0] * len(ends)), [words]


def _ticks(parameters: int) -> int:
    """Where an axis of parameters has a mark: near one of the models."""
    return round(parameters / 100_000) * 100_000 or 100_000


def _alt(ladder: Ladder, arms: Sequence[str]) -> str:
    ends = ", ".join(f"{arm} {ladder.bits(arm)[:, -1].mean():.3f}" for arm in arms)
    told = [
        f"{name} divided by {times(ratio)}" if ratio.all() else f"{name} not enough"
        for name, what in (("steps", "steps"), ("processor time", "seconds"))
        for ratio in [ladder.speed_up(ladder.standard, what)]
    ]
    return (
        f"Bits per byte along the training, after {ladder.steps[-1]:,} steps: {ends}."
        f" The dense model's last loss with {ladder.standard}: {' and '.join(told)}."
    )
