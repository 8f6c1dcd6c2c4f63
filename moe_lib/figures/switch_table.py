"""Table 1 of Fedus et al. (2021) as a picture, the paper's above and ours below."""

from __future__ import annotations

import math

import plotly.graph_objects as go

from moe_lib.course.scaling_ladder import Ladder
from moe_lib.course.scaling_tables import NAMES, PAPER, our_arm
from moe_lib.figures.panels import COLOURS, SYMBOLS, grid_of_panels
from moe_lib.figures.style import figure

KINDS = ("large", "top-2", "switch")
WHERE = {  # of the labels: of the one without a factor, of 2, 1.25 and 1
    "large": ["top center"],
    "top-2": ["middle right"] * 3,
    "switch": ["top center", "middle left", "bottom center"],
}
Point = tuple[float, float]  # time, quality


def quality_against_time(
    ladder: Ladder,
    *,
    theme: str = "both",
    title: str = "Who is soonest, and who is best?",
) -> go.Figure:
    """Quality after as many steps against the time to the threshold, means of runs.

    Time is that of Switch at capacity factor 1.25 taken as 1, in the paper and here;
    quality the negative log perplexity in nats. Labels are capacity factors. What never
    reached the threshold has no place; `table_1` says so.
    """
    points = _points(ladder)
    fig = figure(alt=_alt(points), title=title, height=640, theme=theme,
                 margin=dict(t=124, l=72, b=56))  # fmt: skip
    heads = ["the paper: TPU, nats of a piece of a word", "here: CPU, nats of a byte"]
    grid_of_panels(fig, 2, heads, vertical_spacing=0.14)
    for row, panel in enumerate(points.values(), start=1):
        times = [time for time, _ in panel.values()] or [1]
        room = 0.12 * (max(times) - min(times)) + 0.05  # for the labels
        fig.update_xaxes(range=[min(times) - room, max(times) + room], row=row)
        for k, kind in enumerate(KINDS):
            mine = {factor: at for (name, factor), at in panel.items() if name == kind}
            fig.add_scatter(
                x=[time for time, _ in mine.values()],
                y=[quality for _, quality in mine.values()],
                text=["" if f is None else f"{f:g}" for f in mine],
                mode="lines+markers+text", textposition=WHERE[kind], name=NAMES[kind],
                legendgroup=kind, showlegend=row == 1, cliponaxis=False,
                line=dict(color=COLOURS[k], width=1.5),
                marker=dict(color=COLOURS[k], symbol=SYMBOLS[k], size=11),
                hovertemplate=f"{NAMES[kind]} %{{text}}: time %{{x:.2f}}, quality"
                " %{y:.3f}<extra></extra>",
                row=row, col=1,
            )  # fmt: skip
    fig.update_xaxes(
        title=dict(text="time to the threshold, Switch at 1.25 = 1"), row=2
    )
    fig.update_yaxes(title=dict(text="negative log perplexity"))
    return fig.update_layout(legend_y=1.06)


def _points(ladder: Ladder) -> dict[str, dict[tuple[str, float | None], Point]]:
    """Panel -> (kind, capacity factor) -> where it stands."""
    paper, here = {}, {}
    for row in PAPER:
        arm = our_arm(ladder, row)
        if row.kind not in KINDS:
            continue
        paper[row.kind, row.factor] = row.hours, row.quality
        if arm is not None:
            time = ladder.reached(arm, "seconds").mean().item()
            quality = -math.log(2) * ladder.bits(arm)[:, -1].mean().item()
            here[row.kind, row.factor] = time, quality
    return {"paper": _relative(paper), "here": _relative(here)}


def _relative(points: dict) -> dict:
    """Times over that of Switch at 1.25, without those that are infinite."""
    one = points.get(("switch", 1.25), (math.inf, 0))[0]
    return {
        key: (time / one, quality)
        for key, (time, quality) in points.items()
        if math.isfinite(time) and math.isfinite(one)
    }


def _alt(points: dict) -> str:
    told = []
    for panel, places in points.items():
        each = ", ".join(
            f"{NAMES[kind]}{'' if factor is None else f' {factor:g}'}"
            f" {quality:.3f} at {time:.2f}"
            for (kind, factor), (time, quality) in places.items()
        )
        told.append(f"{panel}: {each or 'none reached it'}")
    return (
        "Negative log perplexity against the time to a threshold, that of Switch at"
        f" capacity factor 1.25 taken as 1. {'; '.join(told)}."
    )
