"""The text itself, each token in the colours of the experts that serve it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from moe_lib.figures.drawing import box, canvas, path
from moe_lib.figures.grammar import FATES, Marks, marks
from moe_lib.figures.palette import colour, ink_on
from moe_lib.figures.style import look_of
from moe_lib.figures.tints import faded
from moe_lib.figures.words import (
    counted,
    fates,
    real_tokens,
    require_tokens,
    story,
)
from moe_lib.notation import letter
from moe_lib.routing import Routing

WIDTH, LINE = 42, 33  # letters in a line, so many a phone shows; px from line to line
BADGE, GAP = 2.5, 0.5  # width of a badge, room between chips, in letters
NAMED, TOLD = 2, 4  # experts with a badge on the chip; with a probability in the hover


@dataclass(frozen=True)
class Chip:
    """A token in its line: where it stands, who serves it, who turned it away.

    served: (expert, weight), heaviest first. missed: (expert, fate).
    """

    token: int
    x: float
    width: float
    line: int
    served: list[tuple[int, float]]
    missed: list[tuple[int, int]]


def tokens_text(
    routing: Routing,
    tokens: Sequence[str],
    *,
    theme: str = "both",
    title: str = "Who reads which word?",
    max_tokens: int = 128,
) -> go.Figure:
    """The tokens as chips in lines of text, tinted by their experts' weights.

    At a chip's right end stand the letters of its two heaviest experts. Its underline
    has the colour of an expert that did not take it: full, or declined by lot. A
    dashed chip without tint is a token that no expert serves. The hover tells the
    router's probabilities.

    Args:
        tokens: the texts, T of them.
        max_tokens: with more tokens only the first are shown (a text with gaps is
            hard to read), and the picture says so.

    Raises:
        ValueError: not one text for each token; an unknown theme.
    """
    names, real = require_tokens(tokens, routing), real_tokens(routing)
    shown = real[:max_tokens]
    said = f"the first {len(shown)} of {counted(len(real), 'token')}"
    said = said if len(shown) < len(real) else ""
    chips = _chips(marks(routing), shown, names)
    lines = max((chip.line for chip in chips), default=0) + 1
    notes = [f"{fates(routing)}.", f"Shown: {said}." if said else ""]
    if any(chip.missed for chip in chips):
        notes.append("Underlined: an expert refused it. Dashed: no expert.")
    fig = canvas(
        alt=f"{counted(routing.num_tokens, 'token')} of text, tinted by"
        f" {counted(routing.num_experts, 'expert')}{f' ({said})' if said else ''}."
        f" {story(routing)}",
        title=title,
        notes=filter(None, notes),
        inner=lines * LINE,
        theme=theme,
        xaxis=dict(range=[0, WIDTH]),
        yaxis=dict(range=[lines - 0.5, -0.5]),
    )
    fig.update_layout(shapes=_boxes(chips, theme))
    fig.add_trace(_words(chips, names, routing, theme))
    fig.add_traces([*_badges(chips, theme)])
    return fig


def _chips(rows: Marks, shown: list[int], names: list[str]) -> list[Chip]:
    """The tokens laid out, line after line."""
    served, missed = {t: [] for t in shown}, {t: [] for t in shown}
    real = np.flatnonzero(rows.real)
    columns = (rows.token, rows.expert, rows.weight, rows.kept, rows.fate)
    for t, e, weight, kept, fate in zip(
        *(c[real].tolist() for c in columns), strict=True
    ):
        if kept and t in served:
            served[t].append((e, weight))
        elif t in missed:
            missed[t].append((e, fate))
    chips, x, line = [], 0.0, 0
    for t in shown:
        served[t].sort(key=lambda pair: -pair[1])
        width = len(names[t]) + 1.2 + BADGE * min(len(served[t]), NAMED)
        if x and x + width > WIDTH:
            x, line = 0.0, line + 1
        chips.append(Chip(t, x, width, line, served[t], missed[t]))
        x += width + GAP
    return chips


def _boxes(chips: list[Chip], theme: str) -> list[dict]:
    """Tints by weight, underlines and dashes: a shape for each colour."""
    tints: dict[int, list[str]] = {}
    underlines: dict[int, list[str]] = {}
    framed, dashed = [], []
    for chip in chips:
        top, foot, right = chip.line - 0.36, chip.line + 0.36, chip.x + chip.width
        frame = box(chip.x, top, right, foot, 0.4, 0.12)
        (framed if chip.served else dashed).append(frame)
        total, x = sum(max(w, 0) for _, w in chip.served), chip.x
        for e, weight in chip.served:
            share = max(weight, 0) / total if total else 1 / len(chip.served)
            wide = chip.width * share
            tints.setdefault(e, []).append(box(x, top, x + wide, foot))
            x += wide
        for i, (e, _) in enumerate(chip.missed):
            wide = chip.width / len(chip.missed)
            x = chip.x + i * wide
            underlines.setdefault(e, []).append(
                box(x, foot + 0.03, x + wide, foot + 0.11)
            )
    look, shapes = look_of(theme), []
    for e, boxes in tints.items():
        shapes += path(boxes, fillcolor=faded(colour(e, theme), 0.26))
    for e, boxes in underlines.items():
        shapes += path(boxes, fillcolor=colour(e, theme))
    shapes += path(framed, line=dict(color=look.grid, width=1))
    return shapes + path(dashed, line=dict(color=look.ink, width=1.2, dash="dash"))


def _words(
    chips: list[Chip], names: list[str], routing: Routing, theme: str
) -> go.Scatter:
    probs = routing.router_probs.detach().cpu().double()
    most = min(TOLD, routing.num_experts)
    best = probs.topk(most, dim=1)
    told = []
    for chip in chips:
        pairs = zip(best.indices[chip.token].tolist(), best.values[chip.token].tolist(),
                    strict=True)  # fmt: skip
        lines = [", ".join(f"{letter(e)} {p:.0%}" for e, p in pairs)]
        lines += [f"{letter(e)}: {FATES[fate]}" for e, fate in chip.missed]
        told.append(
            "<br>".join([f"token {chip.token + 1}: {names[chip.token]}", *lines])
        )
    badges = [BADGE * min(len(chip.served), NAMED) for chip in chips]
    return go.Scatter(
        x=[c.x + (c.width - b) / 2 for c, b in zip(chips, badges, strict=True)],
        y=[c.line for c in chips], mode="text", text=[names[c.token] for c in chips],
        textfont=dict(color=look_of(theme).ink, size=13), showlegend=False,
        customdata=told, hovertemplate="%{customdata}<extra></extra>", name="tokens",
    )  # fmt: skip


def _badges(chips: list[Chip], theme: str):
    """The letters of the heaviest experts, filled where they serve the token."""
    x, y, experts = [], [], []
    for chip in chips:
        named = chip.served[:NAMED]
        for i, (e, _) in enumerate(named):
            x.append(chip.x + chip.width - 0.2 - BADGE * (len(named) - i - 0.5))
            y.append(chip.line)
            experts.append(e)
    tints = [colour(e, theme) for e in experts]
    yield go.Scatter(
        x=x, y=y, mode="markers+text", text=[f"<b>{letter(e)}</b>" for e in experts],
        textfont=dict(color=[ink_on(c) for c in tints],
                      size=[11 if e < 26 else 9 for e in experts]),
        marker=dict(symbol="square", size=17, color=tints, opacity=1),
        showlegend=False, hoverinfo="skip", name="kept",
    )  # fmt: skip
