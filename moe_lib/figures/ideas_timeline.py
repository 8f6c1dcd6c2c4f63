"""From 1991 to today: which idea led to which, and which chapter builds it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from textwrap import wrap

import plotly.graph_objects as go

from moe_lib.course.ideas_timeline import (
    IDEAS,
    LANES,
    Idea,
    chapter_number,
    chapters_here,
    leads_to,
)
from moe_lib.figures.palette import THEMES
from moe_lib.figures.style import figure, look_of

SYMBOLS = ("square", "circle", "diamond", "triangle-up", "pentagon")
HUES = (0, 4, 1, 3, 5)  # of the palette, one per lane
ROW = 38  # pixels an idea
WIDTH = 20.0  # of the drawing, where 1 is from a lane to the next
CURVE = [k / 16 for k in range(17)]  # where a line is drawn


def ideas_timeline(
    ideas: Sequence[Idea] = IDEAS,
    *,
    chapters: Collection[str] | None = None,
    theme: str = "both",
    title: str = "Which idea led to which?",
) -> go.Figure:
    """Time runs down, a row for each idea; a lane for each answer to "who chooses?".

    A line runs from an idea to each that builds on it or answers it. Filled marks have
    a chapter here, and a link to it; hollow ones have none. A mark tells of the wall,
    of who found the way around it, and of what came next.

    Args:
        ideas: in order of time.
        chapters: names of the chapters' files; those that are found, by default. With
            none (a notebook on its own), marks are filled as the course has it, and
            there is no link.

    Raises:
        ValueError: no idea; one that builds on none of those above it.
    """
    _check(ideas)
    found = chapters_here() if chapters is None else chapters
    here = found or {idea.chapter for idea in ideas if idea.chapter}
    fig = figure(
        alt=_alt(ideas, here), title=title, theme=theme, hovermode="closest",
        height=ROW * len(ideas) + 160, margin=dict(l=40, r=4, t=150, b=10),
        title_y=0.985, legend=dict(y=1.005, tracegroupgap=0),
    )  # fmt: skip
    colours = [THEMES[theme][hue] for hue in HUES]
    _lines(fig, ideas, colours)
    _marks(fig, ideas, here, colours)
    ink = look_of(theme).ink
    fig.add_scatter(
        x=[None], y=[None], mode="markers", name="hollow: no chapter here",
        marker=dict(symbol="circle-open", size=11, color=ink),
    )  # fmt: skip
    for row, idea in enumerate(ideas):
        fig.add_annotation(
            text=_label(idea, found), x=len(LANES) - 0.3, y=row, xanchor="left",
            align="left", showarrow=False, font=dict(size=12, color=ink),
        )  # fmt: skip
    years = [idea.year for idea in ideas]
    first = [row for row, year in enumerate(years) if year not in years[:row]]
    fig.update_xaxes(range=[-0.6, WIDTH], visible=False, fixedrange=True)
    fig.update_yaxes(
        range=[len(ideas) - 0.4, -0.6], fixedrange=True, showgrid=False, ticks="",
        tickvals=first, ticktext=[str(years[row]) for row in first], showline=False,
    )  # fmt: skip
    return fig


def _check(ideas: Sequence[Idea]) -> None:
    if not ideas:
        raise ValueError("ideas is empty: give one at least")
    above: set[str] = set()
    for idea in ideas:
        if missing := set(idea.builds_on) - above:
            raise ValueError(
                f"{idea.id!r} builds on {sorted(missing)}, which is not above it: put"
                " earlier ideas first"
            )
        above.add(idea.id)


def _marks(
    fig: go.Figure,
    ideas: Sequence[Idea],
    here: Collection[str],
    colours: Sequence[str],
) -> None:
    """A trace for each lane: its ideas, filled if ``here`` has their chapter."""
    for lane, name in enumerate(LANES):
        rows = [row for row, idea in enumerate(ideas) if idea.lane == name]
        built = [ideas[row].chapter in here for row in rows]
        marker = dict(
            size=12, color=colours[lane], line=dict(width=2, color=colours[lane])
        )
        symbols = [SYMBOLS[lane] + ("" if b else "-open") for b in built]
        fig.add_scatter(
            x=[lane] * len(rows), y=rows, mode="markers", showlegend=False,
            name=name, legendgroup=name, marker=dict(symbol=symbols, **marker),
            hovertext=[_told(ideas[row], ideas) for row in rows],
            hovertemplate="%{hovertext}<extra></extra>",
        )  # fmt: skip
        fig.add_scatter(
            x=[None], y=[None], mode="markers", name=name, legendgroup=name,
            marker=dict(symbol=SYMBOLS[lane], **marker),
        )  # fmt: skip


def _lines(fig: go.Figure, ideas: Sequence[Idea], colours: Sequence[str]) -> None:
    """A trace for each lane: lines to its ideas, in its colour."""
    place = {i.id: (LANES.index(i.lane), row) for row, i in enumerate(ideas)}
    for lane, name in enumerate(LANES):
        x, y = [], []
        for idea in ideas:
            for origin in idea.builds_on if idea.lane == name else ():
                across, down = _curve(place[origin], place[idea.id], place.values())
                x += [*across, None]
                y += [*down, None]
        fig.add_scatter(
            x=x, y=y, mode="lines", hoverinfo="skip", showlegend=False, opacity=0.55,
            legendgroup=name, line=dict(color=colours[lane], width=1.5),
        )  # fmt: skip


def _curve(
    start: tuple[int, int], end: tuple[int, int], marks: Collection[tuple[int, int]]
) -> tuple[list[float], list[float]]:
    """Points between two marks, past those which stand in the way in their lane."""
    (a, top), (b, bottom) = start, end
    between = any(lane == a == b and top < row < bottom for lane, row in marks)
    bulge = -min(0.5, 0.1 + 0.03 * (bottom - top)) if between else 0.0
    # leaves and arrives along the lane; a bulge goes out to the left and back
    across = [
        a + (b - a) * t * t * (3 - 2 * t) + 4 * bulge * t * (1 - t) for t in CURVE
    ]
    return across, [top + (bottom - top) * t for t in CURVE]


def _label(idea: Idea, linked: Collection[str]) -> str:
    """Name, chapter and idea, on two lines."""
    head = f"<b>{idea.name}</b>"
    if idea.chapter in linked:
        number = chapter_number(idea.chapter)
        style = "text-decoration:underline"
        head += f" · <a href='{idea.chapter}.ipynb' style='{style}'>ch. {number}</a>"
    return f"{head}<br><span style='font-size:11px'>{idea.idea}</span>"


def _told(idea: Idea, ideas: Sequence[Idea]) -> str:
    """What a mark says when it is pointed at."""
    after = ", ".join(later.name for later in leads_to(idea, ideas)) or "open"
    lines = [
        f"<b>{idea.name}, {idea.year}</b>",
        *wrap(f"The wall: {idea.wall}.", 40),
        *wrap(f"The idea: {idea.idea}.", 40),
        *wrap(f"Next: {after}.", 40),
        *wrap(idea.by, 40),
    ]
    return "<br>".join(lines)


def _alt(ideas: Sequence[Idea], here: Collection[str]) -> str:
    built = sum(idea.chapter in here for idea in ideas)
    lanes = ", ".join(
        f"{name}: {', '.join(of)}"
        for name in LANES
        if (of := [f"{i.name} ({i.year})" for i in ideas if i.lane == name])
    )
    most = max(ideas, key=lambda idea: len(leads_to(idea, ideas)))
    return (
        f"{len(ideas)} ideas from {ideas[0].year} to {ideas[-1].year}, {built} of them"
        f" built in a chapter. By who chooses: {lanes}. Most lead on from {most.name}:"
        f" {len(leads_to(most, ideas))}."
    )
