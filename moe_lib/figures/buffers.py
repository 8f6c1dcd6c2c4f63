"""The drawing of buffers: boxes and marks for short queues, bars for long ones."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from moe_lib.figures.drawing import box, hatch, marker, path
from moe_lib.figures.grammar import DECLINED, FATES, FULL, KEPT, Marks
from moe_lib.figures.palette import colour, ink_on
from moe_lib.figures.style import look_of
from moe_lib.figures.tints import faded


def boxes_of(
    rows: Marks,
    seen: np.ndarray,
    y: np.ndarray,
    line: dict,
    wall: int | None,
    theme: str,
) -> list[dict]:
    """Tinted boxes where a row was kept, hatched ones where the place is empty.

    Behind a hollow mark there is no hatching, or its number could not be read.
    """
    look, queue = look_of(theme), [wall or 0] * len(line)
    taken, marked = [set() for _ in line], [set() for _ in line]
    columns = (y, rows.position[seen], rows.kept[seen])
    for row, position, kept in zip(*(c.tolist() for c in columns), strict=True):
        (taken if kept else marked)[row].add(position)
        if wall is None:
            queue[row] = max(queue[row], position + 1)
    shapes, empty, bare = [], [], []
    for (_, e), row in line.items():
        cell = [(p - 0.45, row - 0.42, p + 0.45, row + 0.42) for p in range(queue[row])]
        tint = colour(e, theme)
        shapes += path(
            (box(*cell[p], 0.12, 0.12) for p in sorted(taken[row]) if p < queue[row]),
            fillcolor=faded(tint, 0.16), line=dict(color=faded(tint, 0.55), width=1),
        )  # fmt: skip
        free = [p for p in range(queue[row]) if p not in taken[row]]
        bare += [cell[p] for p in free]
        empty += [cell[p] for p in free if p not in marked[row]]
    outline = dict(color=look.grid, width=1)
    shapes += path((box(*c, 0.12, 0.12) for c in bare), line=outline)
    strokes = dict(color=look.muted, width=0.7)
    return shapes + path((hatch(*c) for c in empty), line=strokes)


def marks_in(
    rows: Marks,
    seen: np.ndarray,
    y: np.ndarray,
    names: list[str],
    size: float,
    numbers: bool,
    theme: str,
):
    """A trace of filled marks and a trace of hollow ones, with the tokens' numbers."""
    for name, some in (("kept", rows.kept[seen]), ("dropped", ~rows.kept[seen])):
        which = seen[some]
        token, fate = rows.token[which].tolist(), rows.fate[which].tolist()
        expert = rows.expert[which].tolist()
        beyond = 0.35 * (rows.fate[which] == FULL)
        ink = look_of(theme).ink
        if name == "kept":
            ink = [ink_on(colour(e, theme)) for e in expert]
        yield go.Scatter(
            x=(rows.position[which] + beyond).tolist(), y=y[some].tolist(), name=name,
            mode="markers+text" if numbers else "markers", showlegend=False,
            text=[str(t + 1) for t in token],
            textfont=dict(size=11 if size >= 20 else 9, color=ink) if numbers else None,
            customdata=[f"{names[t]}: {FATES[f]}"
                        for t, f in zip(token, fate, strict=True)],
            hovertemplate="token %{text}, %{customdata}<extra></extra>",
            marker=marker(rows.symbol[which].tolist(), fate, expert, theme,
                          crossed=False, size=size,
                          line=dict(width=2 * (name != "kept"))),
        )  # fmt: skip


def bars_of(
    rows: Marks,
    seen: np.ndarray,
    y: np.ndarray,
    line: dict,
    wall: int | None,
    theme: str,
):
    """Long queues: kept solid, declined hollow, empty hatched, too late hollow."""
    fate, count = rows.fate[seen], len(line)
    kept, full, declined = (
        np.bincount(y[fate == f], minlength=count) for f in (KEPT, FULL, DECLINED)
    )
    empty = (wall - kept - declined).clip(0) if wall is not None else 0 * kept
    tints, grey = [colour(e, theme) for _, e in line], look_of(theme).muted
    clear, outline = "rgba(0,0,0,0)", dict(color=tints, width=2)
    for name, values, look in (
        ("kept", kept, dict(color=tints)),
        ("declined", declined, dict(color=clear, line=outline)),
        ("empty", empty, dict(color=clear, line=dict(color=grey, width=1),
                              pattern=dict(shape="/", size=6, fgcolor=grey))),
        ("dropped", full, dict(color=clear, line=outline)),
    ):  # fmt: skip
        yield go.Bar(
            x=[v or None for v in values.tolist()], y=list(range(count)), name=name,
            base=None, offset=-0.35, width=0.7, orientation="h", showlegend=False,
            marker=look, hovertemplate=f"%{{x}} {name}<extra></extra>",
        )  # fmt: skip
