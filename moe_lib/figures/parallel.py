"""Expert parallelism: what each rank does when."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from moe_lib.figures.palette import colour, ink_on
from moe_lib.figures.style import LOOKS, figure
from moe_lib.figures.words import counted
from moe_lib.recorder import Event

#: Kind -> (number of its colour, pattern). Waiting is an empty place: hatched.
KINDS = {"compute": (4, ""), "dispatch": (1, "/"), "combine": (6, "\\"),
         "waiting": (None, "/")}  # fmt: skip
MOST_EVENTS = 2000
CLEAR = "rgba(0,0,0,0)"


def timeline(
    events: Sequence[Event],
    *,
    theme: str = "both",
    title: str = "Where does the time of each rank go?",
) -> go.Figure:
    """A lane for each rank, a box for each event, in ms from the first start.

    Events of one rank that overlap (communication behind computation) share its lane.
    Of more than 2,000 events the longest are drawn; the numbers count all.

    Raises:
        ValueError: no events.
    """
    if not events:
        raise ValueError("events is empty: give at least one Event")
    ranks = 1 + max(event.rank for event in events)
    zero = min(event.start for event in events)
    total = max(event.end for event in events) - zero
    spent = {kind: [0.0] * ranks for kind in KINDS}  # share of the total, by rank
    for event in events:
        spent[event.kind][event.rank] += event.seconds / total if total else 0.0
    drawn = sorted(events, key=lambda event: -event.seconds)[:MOST_EVENTS]
    shares = {kind: f"{kind} {sum(spent[kind]) / ranks:.0%}" for kind in KINDS}
    numbers = [f"{1e3 * total:.3g} ms in all"]
    if ranks > 1 and any(spent["waiting"]):
        longest = max(range(ranks), key=spent["waiting"].__getitem__)
        share = spent["waiting"][longest]
        numbers[0] += f"; rank {longest} waits longest, {share:.0%} of it"
    if len(drawn) < len(events):
        numbers.append(
            f"the {len(drawn):,} longest of {len(events):,} events are drawn"
        )
    fig = figure(
        alt=f"Timeline of {counted(ranks, 'rank')}, {'; '.join(numbers)}."
        f" Of the ranks' time: {', '.join(shares.values())}.",
        title=f"<b>{title}</b>",
        x="time (ms)<br>" + "<br>".join(numbers),
        y="rank",
        height=190 + max(72, min(46, max(16, 480 // ranks)) * ranks),
        theme=theme,
        barmode="overlay",
        legend=dict(y=1),
        uniformtext=dict(minsize=10, mode="hide"),
    )
    placed = list(zip(drawn, _lanes(drawn), strict=True))
    for kind in KINDS:
        if boxes := [(event, lane) for event, lane in placed if event.kind == kind]:
            fig.add_trace(_boxes(kind, shares[kind], boxes, zero, theme))
    fig.update_yaxes(
        range=[ranks - 0.5, -0.5], showgrid=False, ticks="", showline=False,
        tickvals=list(range(0, ranks, 1 + (ranks - 1) // 16)),
    )  # fmt: skip
    return fig


def _lanes(events: Sequence[Event]) -> list[tuple[int, int]]:
    """For each event its lane within the rank, and how many lanes that rank needs."""
    lanes, free = [0] * len(events), {}
    for k in sorted(range(len(events)), key=lambda k: events[k].start):
        ends = free.setdefault(events[k].rank, [])  # of the last event in each lane
        fits = [lane for lane, end in enumerate(ends) if end <= events[k].start]
        lanes[k] = fits[0] if fits else len(ends)
        ends[lanes[k] : lanes[k] + 1] = [events[k].end]
    return [
        (lane, len(free[event.rank])) for lane, event in zip(lanes, events, strict=True)
    ]


def _boxes(
    kind: str,
    name: str,
    placed: list[tuple[Event, tuple[int, int]]],
    zero: float,
    theme: str,
) -> go.Bar:
    number, pattern = KINDS[kind]
    solid = CLEAR if number is None else colour(number, theme)
    edge = LOOKS[theme].muted if number is None else solid
    events = [event for event, _ in placed]
    return go.Bar(
        orientation="h", name=name, customdata=[event.rank for event in events],
        base=[round(1e3 * (event.start - zero), 6) for event in events],
        x=[round(1e3 * event.seconds, 6) for event in events],
        y=[round(event.rank + 0.84 * ((lane + 0.5) / of - 0.5), 3)
           for event, (lane, of) in placed],
        width=[0.8 / of for _, (_, of) in placed],
        text=[kind] * len(events), textposition="inside", insidetextanchor="middle",
        textangle=0,
        insidetextfont_color=LOOKS[theme].ink if number is None else ink_on(solid),
        hovertemplate=f"rank %{{customdata}}: {kind}, %{{x:.4g}} ms<extra></extra>",
        marker=dict(
            color=solid, line=dict(color=edge, width=1),
            pattern=dict(shape=pattern, size=8, solidity=0.12, fillmode="overlay",
                         fgcolor=edge if number is None else "rgba(255,255,255,0.45)"),
        ),
    )  # fmt: skip
