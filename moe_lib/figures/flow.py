"""The flow: tokens run through their experts to their outputs, or around them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from moe_lib.figures.drawing import CROSSED, box, canvas, legend_of, marker, path
from moe_lib.figures.grammar import FATES, marks, unserved
from moe_lib.figures.palette import colour, ink_on
from moe_lib.figures.streams import (
    Streams,
    bands_of,
    edges_of,
    mark_size,
    nodes_of,
    streams_of,
)
from moe_lib.figures.style import look_of
from moe_lib.figures.tints import faded
from moe_lib.figures.words import counted, fates, real_tokens, require_tokens, story
from moe_lib.notation import letter
from moe_lib.routing import Routing

THICK = 22  # px of a token's ribbons together, at most
IN, OUT = 0.46, 0.54  # where the experts stand between tokens (0) and outputs (1)


def flow(
    routing: Routing,
    tokens: Sequence[str] | None = None,
    *,
    theme: str = "both",
    title: str = "Which road does each token take?",
    max_tokens: int = 24,
) -> go.Figure:
    """Tokens at the left, experts in the middle, outputs at the right.

    A ribbon is a row that was kept, as wide as its weight; a dotted line that ends in
    a hollow mark is one that was not. A token whom no expert serves goes around them
    on a dashed road: only the residual connection carries it.

    Args:
        tokens: the texts, T of them; None: numbers from 1.
        max_tokens: with more tokens (or more than 400 rows) neighbours are put
            together in bands, one ribbon for each band and expert.

    Raises:
        ValueError: not one text for each token; an unknown theme.
    """
    names, rows = require_tokens(tokens, routing), marks(routing)
    real = real_tokens(routing)
    streams_wanted = int(rows.real.sum())
    bands, labels, said = bands_of(
        real, names, streams_wanted, routing.num_experts, max_tokens
    )
    band_of = np.full(routing.num_tokens, -1)
    for b, band in enumerate(bands):
        band_of[band] = b
    streams = streams_of(rows, band_of, len(bands) < len(real))
    alone = np.bincount(band_of[unserved(routing)], minlength=len(bands)).tolist()
    experts, height = routing.num_experts, max(len(bands), 1)
    row = 26 if len(bands) == len(real) else 44
    inner = max(row * height, 16 * experts if experts > 16 else 30 * experts)
    unit = inner / height  # px from token to token
    nodes = nodes_of(streams, experts, height)
    size = mark_size(streams, nodes, unit)
    road = 64 if any(alone) else 0  # px below the experts
    told, side = fates(routing), 20 + round(7.2 * max(map(len, labels), default=0))
    fig = canvas(
        alt=f"Ribbons from {counted(routing.num_tokens, 'token')} through"
        f" {counted(experts, 'expert')} to the outputs{f' ({said})' if said else ''}."
        f" {story(routing)}",
        title=title,
        notes=[f"{told}.", *([f"Shown: {said}."] if said else [])],
        inner=inner + road,
        theme=theme,
        left=side,
        right=side,
        top=24,
        legend=legend_of(rows, theme, size > CROSSED),
        xaxis=dict(range=[0, 1]),
        yaxis=dict(range=[height * (1 + road / inner) - 0.5, -0.5], visible=True,
                   ticks="", showline=False, ticklabelstandoff=6,
                   tickvals=list(range(len(bands))),
                   ticktext=labels),
    )  # fmt: skip
    ends, entries = edges_of(streams, nodes, min(0.8, THICK / unit))
    shapes = _ribbons(streams, ends, entries, theme)
    shapes += _experts(nodes, theme) + _road(alone, height, road / inner, theme)
    fig.add_traces([*_gates(streams, entries, size, labels, theme)])
    fig.add_traces([_letters(nodes, theme), _outputs(labels)])
    heads = dict(y=1, yanchor="bottom")
    notes = [
        dict(x=x, text=text) | heads
        for x, text in ((0, "tokens"), ((IN + OUT) / 2, "experts"), (1, "outputs"))
    ]
    if road:
        text = f"<b>residual only</b>: {counted(sum(alone), 'token')}"
        notes.append(dict(x=0.5, y=0, yanchor="bottom", text=text))
    plain = dict(yref="paper", showarrow=False, font=dict(size=12))
    notes = [note | plain for note in notes]
    return fig.update_layout(shapes=shapes, annotations=notes)


def _letters(nodes: list[tuple[float, float]], theme: str) -> go.Scatter:
    """Each expert's name on its own ground."""
    experts = range(len(nodes))
    return go.Scatter(
        x=[(IN + OUT) / 2] * len(nodes), y=[(a + b) / 2 for a, b in nodes],
        mode="text", text=[f"<b>{letter(e)}</b>" for e in experts], showlegend=False,
        textfont=dict(size=13 if len(nodes) <= 16 else 9,
                      color=[ink_on(colour(e, theme)) for e in experts]),
        hoverinfo="skip",
    )  # fmt: skip


def _outputs(labels: list[str]) -> go.Scatter:
    """The tokens once more, at the right."""
    return go.Scatter(
        x=[1] * len(labels), y=list(range(len(labels))), mode="text",
        text=[f"\u2002{label}" for label in labels], textposition="middle right",
        cliponaxis=False, showlegend=False, hoverinfo="skip",
    )  # fmt: skip


def _ribbons(
    streams: Streams, ends: np.ndarray, entries: np.ndarray, theme: str
) -> list[dict]:
    """Each expert's ribbons, in and out, as one shape; its refused rows as another."""
    drawn: dict[tuple[int, bool], list[str]] = {}
    columns = (streams.expert, streams.kept, ends, entries)
    for e, kept, (a, b), (c, d) in zip(*(x.tolist() for x in columns), strict=True):
        paths = drawn.setdefault((e, kept), [])
        if not kept:
            paths.append(f"M0,{a:.3f}" + _curve(0, a, IN - 0.05, (c + d) / 2))
            continue
        for x0, x1 in ((0, IN), (1, OUT)):
            paths.append(f"M{x0},{a:.3f}{_curve(x0, a, x1, c)}V{d:.3f}"
                         f"{_curve(x1, d, x0, b)}Z")  # fmt: skip
    shapes = []
    for (e, kept), paths in drawn.items():
        tint = colour(e, theme)
        filled = dict(fillcolor=faded(tint, 0.42), fillrule="nonzero")
        dotted = dict(line=dict(color=tint, width=1.3, dash="dot"))
        shapes += path(paths, **(filled if kept else dotted))
    return shapes


def _experts(nodes: list[tuple[float, float]], theme: str) -> list[dict]:
    corner = min(0.3, *((b - a) / 3 for a, b in nodes))
    return [
        path([box(IN, a, OUT, b, 0.01, corner)], fillcolor=colour(e, theme))[0]
        for e, (a, b) in enumerate(nodes)
    ]  # fmt: skip


def _road(alone: list[int], height: int, road: float, theme: str) -> list[dict]:
    """The dashed road around the experts, and the ways of its users there and back."""
    y = height * (1 + 0.4 * road) - 0.5
    ways = [
        f"M0,{band}{_curve(0, band, 0.34, y)}M0.66,{y:.3f}{_curve(0.66, y, 1, band)}"
        for band, count in enumerate(alone)
        if count
    ]
    line = dict(color=look_of(theme).ink, dash="dash")
    shared = path([f"M0.34,{y:.3f}H0.66"] * bool(ways), line=line | dict(width=4))
    return path(ways, line=line | dict(width=1.2)) + shared


def _gates(
    streams: Streams,
    entries: np.ndarray,
    size: float,
    labels: list[str],
    theme: str,
):
    """The marks before the experts: filled where they let a row in, else hollow."""
    for name, some in (("kept", streams.kept), ("dropped", ~streams.kept)):
        expert, fate = streams.expert[some].tolist(), streams.fate[some].tolist()
        told = zip(streams.band[some].tolist(), expert, fate, strict=True)
        yield go.Scatter(
            x=[IN - (0.018 if name == "kept" else 0.05)] * len(expert),
            y=entries[some].mean(axis=1).tolist(), mode="markers", name=name,
            showlegend=False, customdata=streams.count[some].tolist(),
            text=[f"{labels[b]} to {letter(e)}: {FATES[f]}" for b, e, f in told],
            hovertemplate="%{text} (%{customdata})<extra></extra>",
            marker=marker(streams.symbol[some].tolist(), fate, expert, theme,
                          crossed=size > CROSSED, size=size,
                          line=dict(width=1.4 * (name != "kept"))),
        )  # fmt: skip


def _curve(x0: float, y0: float, x1: float, y1: float) -> str:
    """From here on to (x1, y1), level at both ends."""
    middle = (x0 + x1) / 2
    return f"C{middle:g},{y0:.3f} {middle:g},{y1:.3f} {x1:g},{y1:.3f}"
