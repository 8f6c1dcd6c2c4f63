"""What the pictures of a routing are drawn with: a canvas, badges, paths, a legend."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

import plotly.graph_objects as go

from moe_lib.figures.grammar import DECLINED, FULL, KEPT, Marks
from moe_lib.figures.palette import THEMES, colour, ink_on
from moe_lib.figures.style import figure, look_of
from moe_lib.notation import letter

LINE = 58  # letters of a note on one line: what fits on a phone
CROSSED = 9  # px: in a smaller mark a cross would look like a filling
BADGES = 16  # with more experts than these a badge has no room for its letter
HIDDEN = dict(visible=False, fixedrange=True, showgrid=False)


def canvas(
    *,
    alt: str,
    title: str,
    notes: Iterable[str],
    inner: float,
    theme: str,
    left: int = 16,
    right: int = 16,
    top: int = 12,
    legend: Sequence[go.Scatter] = (),
    bottom: int = 12,
    xaxis: dict,
    yaxis: dict,
    **layout: object,
) -> go.Figure:
    """An empty picture: a title, notes below it, a legend at the foot, hidden axes.

    Args:
        notes: sentences of their own lines, wrapped so that a phone shows them whole.
        inner: height between the axes in px. left, right, top, bottom: room around
            it for labels, beside that of title, notes and legend.
    """
    lines = [line for note in notes for line in textwrap.wrap(note, LINE)]
    top += 40 + 17 * len(lines)
    small = "".join(f'<br><span style="font-size:12px">{line}</span>' for line in lines)
    rows = (len(legend) + 1) // 2  # on a phone; on a wide page it is one row
    foot = bottom + (14 + 20 * rows if legend else 0)
    height = round(inner + top + foot)
    return figure(
        *legend,
        alt=alt,
        title=f"<b>{title}</b>{small}",
        height=height,
        theme=theme,
        margin=dict(l=left, r=right, t=top, b=foot),
        legend=dict(y=-bottom / inner, yanchor="top", font=dict(size=12),
                    itemclick=False, itemdoubleclick=False, traceorder="normal"),
        xaxis=HIDDEN | xaxis,
        yaxis=HIDDEN | yaxis,
        title_xref="container",
        title_pad=dict(l=12),
        title_y=1 - 22 / height,
        **layout,
    )  # fmt: skip


def legend_of(rows: Marks, theme: str, crossed: bool = True) -> list[go.Scatter]:
    """One empty trace for each thing to explain: shapes, then fates."""
    entries = {name: dict(symbol=s) for s, name in rows.choice_names().items()}
    fates = {"dropped: expert full": FULL, "declined by lot": DECLINED}
    if not crossed and (rows.real & ~rows.kept).any():
        entries["not kept"] = dict(symbol="circle-open", line=dict(width=2))
    for name, fate in fates.items() if crossed else ():
        if (rows.fate == fate).any():
            entries[name] = dict(symbol=hollow("circle", fate), line=dict(width=2))
    return [
        go.Scatter(x=[None], y=[None], mode="markers", name=name, hoverinfo="skip",
                   marker=dict(size=11, color=look_of(theme).ink) | shape)
        for name, shape in entries.items()
    ]  # fmt: skip


def hollow(symbol: str, fate: int) -> str:
    """The outline of a marker; crossed where the expert was full.

    In a diamond the cross is upright: slanted strokes would run along its edges.
    """
    cross = "-cross" if symbol == "diamond" else "-x"
    return f"{symbol}{cross if fate == FULL else ''}-open"


def marker(
    symbols: Sequence[str],
    fates: Sequence[int],
    experts: Sequence[int],
    theme: str,
    crossed: bool = True,
    **look: object,
) -> dict:
    """Plotly's marker of these rows, in their experts' colours.

    Kept rows are filled, others hollow; ``crossed`` too where the expert was full.
    Colours go as numbers on a scale of eight: plotly checks names one by one.
    """
    shown = [
        s if f == KEPT else hollow(s, f) if crossed else f"{s}-open"
        for s, f in zip(symbols, fates, strict=True)
    ]
    palette = THEMES[theme]
    last = len(palette) - 1
    return dict(
        symbol=shown[0] if len(set(shown)) == 1 else shown,
        color=[e % len(palette) for e in experts],
        colorscale=[[i / last, tint] for i, tint in enumerate(palette)],
        cmin=0, cmax=last, showscale=False, opacity=1,
        **look,
    )  # fmt: skip


def box(
    x0: float, y0: float, x1: float, y1: float, rx: float = 0.0, ry: float = 0.0
) -> str:
    """The path of a rectangle, its corners rounded by ``rx`` and ``ry``."""
    if not rx:
        return f"M{x0:g},{y0:g}H{x1:g}V{y1:g}H{x0:g}Z"
    return (
        f"M{x0 + rx:g},{y0:g}H{x1 - rx:g}Q{x1:g},{y0:g} {x1:g},{y0 + ry:g}"
        f"V{y1 - ry:g}Q{x1:g},{y1:g} {x1 - rx:g},{y1:g}"
        f"H{x0 + rx:g}Q{x0:g},{y1:g} {x0:g},{y1 - ry:g}"
        f"V{y0 + ry:g}Q{x0:g},{y0:g} {x0 + rx:g},{y0:g}Z"
    )


def hatch(x0: float, y0: float, x1: float, y1: float, lines: int = 4) -> str:
    """Slanted lines that fill a rectangle."""
    strokes = []
    for i in range(1, 2 * lines):
        s = i / lines  # along the bottom edge, then up the right one
        a, b = min(s, 1), max(s - 1, 0)
        strokes.append(
            f"M{x0 + a * (x1 - x0):g},{y0 + b * (y1 - y0):g}"
            f"L{x0 + b * (x1 - x0):g},{y0 + a * (y1 - y0):g}"
        )
    return "".join(strokes)


def path(d: Iterable[str], **look: object) -> list[dict]:
    """A shape of all the paths together, or none where there are none."""
    d = "".join(d)
    look = dict(line=dict(width=0)) | look
    return [dict(type="path", path=d, layer="below", **look)] if d else []


def badges(
    experts: Sequence[int], at: Sequence[float], theme: str, side: str
) -> tuple[list[dict], list[dict]]:
    """The experts' letters on their colours along an edge: shapes and annotations.

    With many experts only some letters are written, plainly and in their colours.

    Args:
        at: where on the axis. side: "top", "left" or "bottom".
    """
    upright, crowded = side == "left", len(experts) > BADGES
    ref = dict(xref="paper", yref="y") if upright else dict(xref="x", yref="paper")
    edge, away = (1, 14) if side == "top" else (0, -14)
    dx, dy = (away, 0) if upright else (0, away)
    step = 1 if upright else 1 + (len(experts) - 1) // BADGES
    shapes, notes = [], []
    for e, place in list(zip(experts, at, strict=True))[::step]:
        x, y = (edge, place) if upright else (place, edge)
        fill = colour(e, theme)
        if not crowded:
            shapes.append(
                dict(type="path", path=box(dx - 9, dy - 9, dx + 9, dy + 9, 4, 4),
                     xsizemode="pixel", ysizemode="pixel", xanchor=x, yanchor=y,
                     fillcolor=fill, line=dict(width=0), **ref)
            )  # fmt: skip
        font = dict(color=fill if crowded else ink_on(fill),
                    size=10 if crowded else 12)  # fmt: skip
        notes.append(
            dict(x=x, y=y, xshift=dx, yshift=dy, xanchor="center", yanchor="middle",
                 text=f"<b>{letter(e)}</b>", font=font, showarrow=False, **ref)
        )  # fmt: skip
    return shapes, notes
