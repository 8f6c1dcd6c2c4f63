"""A piece of text of each domain, every byte tinted by the expert that reads it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import groupby

import plotly.graph_objects as go

from moe_lib.checks import require_count
from moe_lib.course.byte_names import characters, readable
from moe_lib.course.placed import Placed
from moe_lib.data.domain_text import STRETCH, STRETCHES
from moe_lib.figures.drawing import box, canvas, path
from moe_lib.figures.palette import colour
from moe_lib.figures.style import look_of
from moe_lib.figures.tints import faded
from moe_lib.figures.words import counted
from moe_lib.notation import letter

WIDTH, LINE = 42, 40  # bytes in a line, as many as a phone shows; px from line to line
HEAD = 0.7  # of a line: room for the name of a domain


def byte_text(
    placed: Placed,
    *,
    stretch: int = 0,
    lines: int = 3,
    theme: str = "both",
    title: str = "Which expert reads which byte?",
) -> go.Figure:
    """Lines of held-out text, a few of each domain, in the colours of the experts.

    A byte has the tint of the expert of its largest weight, whose letter stands below;
    neighbours of one expert share it. ``·`` is a byte inside a longer character.

    Args:
        placed: all held-out bytes (``place(..., every=1)``), since text with gaps
            cannot be read.
        stretch: which of the 64 pieces of each domain. lines: of 42 bytes, 1 to 3.

    Raises:
        ValueError: bytes are left out; a stretch or lines that there are not.
    """
    domains, whole = len(placed.domains), STRETCHES * STRETCH
    if len(placed.byte) != domains * whole:
        raise ValueError(
            f"placed has {len(placed.byte)} bytes, not {domains * whole:,}: place every"
            " byte"
        )
    if require_count("stretch", stretch, minimum=0) >= STRETCHES:
        raise ValueError(f"stretch={stretch}: choose from 0 to {STRETCHES - 1}")
    if require_count("lines", lines) > STRETCH // WIDTH:
        raise ValueError(f"lines={lines}: give at most {STRETCH // WIDTH}")
    starts = [d * whole + stretch * STRETCH for d in range(domains)]
    rows = [
        list(range(start + k * WIDTH, start + (k + 1) * WIDTH))
        for start in starts
        for k in range(lines)
    ]
    heights = [HEAD + d * (lines + HEAD) + k
               for d in range(domains) for k in range(lines)]  # fmt: skip
    inner = domains * (lines + HEAD)
    fig = canvas(
        alt=_alt(placed, starts, lines * WIDTH),
        title=title,
        notes=["Below each run of bytes: its first expert."],
        inner=inner * LINE,
        theme=theme,
        xaxis=dict(range=[0, WIDTH]),
        yaxis=dict(range=[inner - 0.4, -0.4]),
    )
    runs = [run for row, y in zip(rows, heights, strict=True)
            for run in _runs(placed, row, y)]  # fmt: skip
    fig.update_layout(shapes=_tints(runs, theme))
    fig.add_traces([
        _domains(placed, lines, theme),
        _characters(placed, starts, heights, lines, theme),
        _letters(runs, theme),
    ])  # fmt: skip
    return fig


def _runs(placed: Placed, row: Sequence[int], y: float) -> list[tuple]:
    """(expert, from, to, height) of neighbouring bytes with one first expert."""
    runs, x = [], 0
    for expert, group in groupby(placed.first[row].tolist()):
        length = len(list(group))
        runs.append((expert, x, x + length, y))
        x += length
    return runs


def _tints(runs: Sequence[tuple], theme: str) -> list[dict]:
    boxes: dict[int, list[str]] = {}
    for e, x0, x1, y in runs:
        drawn = box(x0 + 0.06, y - 0.36, x1 - 0.06, y + 0.2)
        boxes.setdefault(e, []).append(drawn)
    shapes = []
    for e, drawn in sorted(boxes.items()):
        shapes += path(drawn, fillcolor=faded(colour(e, theme), 0.24))
    return shapes


def _domains(placed: Placed, lines: int, theme: str) -> go.Scatter:
    return go.Scatter(
        x=[0] * len(placed.domains), mode="text", textposition="middle right",
        y=[d * (lines + HEAD) for d in range(len(placed.domains))],
        text=[f"<b>{name}</b>" for name in placed.domains], hoverinfo="skip",
        textfont=dict(color=look_of(theme).ink, size=12), showlegend=False,
    )  # fmt: skip


def _characters(
    placed: Placed,
    starts: Sequence[int],
    heights: Sequence[float],
    lines: int,
    theme: str,
) -> go.Scatter:
    count = lines * WIDTH
    shown, told = [], []
    weights, names = placed.weights, placed.byte.tolist()
    for start in starts:
        values = names[start : start + count]
        shown += [printed(char) for char in characters(values)]
        top = weights[start : start + count].topk(min(4, weights.shape[1]))
        for value, experts, gates in zip(
            values, top.indices.tolist(), top.values.tolist(), strict=True
        ):
            parts = (f"{letter(e)} {g:.0%}"
                     for e, g in zip(experts, gates, strict=True) if g > 0)  # fmt: skip
            told.append(f"{html.escape(readable([value]))}: {', '.join(parts)}")
    return go.Scatter(
        x=[x + 0.5 for _ in heights for x in range(WIDTH)],
        y=[y - 0.08 for y in heights for _ in range(WIDTH)],
        mode="text", text=shown, customdata=told, showlegend=False, name="bytes",
        textfont=dict(color=look_of(theme).ink, size=14, family="monospace"),
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip


def printed(char: str) -> str:
    """As plotly shows it: no markup, no formula; a space stays a space."""
    char = {"\n": "↵", "\t": "⇥"}.get(char, char)
    if not char.isprintable():
        return "·"
    return html.escape(char, quote=False).replace("$", "&#36;")


def _letters(runs: Sequence[tuple], theme: str) -> go.Scatter:
    return go.Scatter(
        x=[(x0 + x1) / 2 for _, x0, x1, _ in runs],
        y=[y + 0.35 for *_, y in runs], mode="text", showlegend=False,
        text=[f"<b>{letter(e)}</b>" for e, *_ in runs], hoverinfo="skip",
        textfont=dict(color=[colour(e, theme) for e, *_ in runs],
                      size=[10 if e < 26 else 8 for e, *_ in runs]),
        name="experts",
    )  # fmt: skip


def _alt(placed: Placed, starts: Sequence[int], count: int) -> str:
    told = []
    for name, start in zip(placed.domains, starts, strict=True):
        first = placed.first[start : start + count]
        experts, served = first.unique(return_counts=True)
        busiest = experts[served.argsort(descending=True, stable=True)[:2]].tolist()
        letters = " and ".join(letter(e) for e in busiest)
        told.append(f"{name}: {counted(len(experts), 'expert')}, most often {letters}")
    return (
        f"{count} bytes of held-out text of each domain, tinted by the expert of the"
        f" largest weight. {'; '.join(told)}."
    )
