"""The load: what each expert is asked for, against the fair share."""

from __future__ import annotations

import plotly.graph_objects as go

from moe_lib.figures.drawing import badges, canvas
from moe_lib.figures.grammar import Load, load_summary
from moe_lib.figures.palette import colour
from moe_lib.figures.style import look_of
from moe_lib.figures.words import counted, over_capacity, story
from moe_lib.notation import letter
from moe_lib.routing import Routing

EDGE = 0.42  # half a bar's width, in experts


def load(
    routing: Routing,
    *,
    theme: str = "both",
    title: str = "How evenly are the experts asked?",
) -> go.Figure:
    """A bar for each expert: rows kept are solid, rows not kept stand hollow on top.

    A dashed line is the fair share, demand / experts; a thick line is the wall, an
    expert's slots in all groups together. The note gives the demand's coefficient of
    variation (population) and its maximum over its mean.

    Raises:
        ValueError: an unknown theme.
    """
    sums, experts = load_summary(routing), routing.num_experts
    groups = routing.num_tokens // (routing.group_size or routing.num_tokens)
    told, over = _evenness(sums), over_capacity(sums, most=1)
    places = list(range(experts))
    dropped = [d - s for d, s in zip(sums.demand, sums.served, strict=True)]
    fig = canvas(
        alt=f"Bars of the demand for {counted(experts, 'expert')}. {told}."
        f" {story(routing)}",
        title=title,
        notes=[f"{told}.", *([f"{over[0].upper()}{over[1:]}."] if over else [])],
        inner=250,
        theme=theme,
        left=48,
        top=16,
        bottom=32,
        legend=[*_parts(any(dropped), theme), *_lines(routing, sums, groups, theme)],
        barmode="stack",
        xaxis=dict(range=[-0.6, experts - 0.4]),
        yaxis=dict(visible=True, showgrid=True, showline=False, ticks="",
                   rangemode="tozero", nticks=6, tickformat=",d",
                   dtick=1 if max(sums.demand) < 6 else None,
                   title=dict(text="rows", font_size=12, standoff=4)),
    )  # fmt: skip
    tints = [colour(e, theme) for e in places]
    for name, values in (("kept", sums.served), ("dropped", dropped)):
        outline = 0 if name == "kept" else 2
        fig.add_bar(
            x=places, y=[v or None for v in values], width=2 * EDGE, name=name,
            showlegend=False, customdata=[letter(e) for e in places],
            hovertemplate=f"%{{customdata}}: %{{y}} {name}<extra></extra>",
            marker=dict(color=tints if name == "kept" else "rgba(0,0,0,0)",
                        line=dict(color=tints, width=outline)),
        )  # fmt: skip
    shapes, letters = badges(places, places, theme, "bottom")
    return fig.update_layout(shapes=shapes, annotations=letters)


def _evenness(sums: Load) -> str:
    if not sums.fair:
        return "Nobody is asked"
    if sums.max_over_mean == 1:
        return "CV 0.00: every expert is asked alike"
    return (
        f"CV {sums.cv:.2f}; {letter(sums.busiest)} is the busiest with"
        f" {sums.max_over_mean:.2f} × the fair share"
    )


def _parts(dropped: bool, theme: str) -> list[go.Scatter]:
    """The legend's words for the two parts of a bar."""
    ink = look_of(theme).ink
    markers = {"kept": dict(symbol="square", color=ink)}
    if dropped:
        markers["not kept"] = dict(symbol="square-open", color=ink, line_width=2)
    return [
        go.Scatter(x=[None], y=[None], mode="markers", name=name,
                   marker=dict(size=11, **marker))
        for name, marker in markers.items()
    ]  # fmt: skip


def _lines(routing: Routing, sums: Load, groups: int, theme: str) -> list[go.Scatter]:
    """The fair share, and the wall where there is one; named in the legend."""
    look, levels = look_of(theme), {f"fair share: {sums.fair:.4g}": sums.fair}
    if routing.capacity is not None:
        each = f" in {groups} groups" if groups > 1 else ""
        slots = routing.capacity * groups
        levels[f"wall: {counted(slots, 'slot')}{each}"] = slots
    ends = [-0.6, routing.num_experts - 0.4]
    return [
        go.Scatter(x=ends, y=[level, level], mode="lines", name=name,
                   hovertemplate=f"{name}<extra></extra>",
                   line=dict(color=look.ink, width=3 if k else 1.5,
                             dash="solid" if k else "dash"))
        for k, (name, level) in enumerate(levels.items())
    ]  # fmt: skip
