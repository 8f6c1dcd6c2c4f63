"""A phrase, byte by byte: each byte's expert, and how sure the router is."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from moe_lib.course.byte_names import readable
from moe_lib.course.phrase_routed import RoutedPhrase, moved
from moe_lib.figures.byte_text import printed
from moe_lib.figures.drawing import box, canvas, path
from moe_lib.figures.palette import colour, ink_on
from moe_lib.figures.style import look_of
from moe_lib.figures.tints import faded
from moe_lib.figures.words import counted, plain
from moe_lib.notation import letter

WIDTH, LINE = 16, 68  # bytes in a line, so that letters have room; px of a line
HEAD = 0.4  # of a line: room for what stands before the phrase
BAR = (0.3, 0.6)  # of a line: top and foot of the bars


def phrase_routed(
    phrases: Sequence[RoutedPhrase],
    *,
    theme: str = "both",
    title: str = "Which expert reads which letter?",
) -> go.Figure:
    """Each byte of a phrase, a bar for the probability, the letter of its expert.

    Args:
        phrases: the same phrase after one or more texts, one below the other.

    Raises:
        ValueError: no phrases, or different ones.
    """
    if len({tuple(one.byte.tolist()) for one in phrases}) != 1:
        raise ValueError(
            f"phrases holds {len(phrases)}: give one, or the same after several texts"
        )
    count = len(phrases[0].byte)
    lines = -(-count // WIDTH)
    several = HEAD * (len(phrases) > 1)
    tall = lines + several  # of one phrase, in lines
    notes = ["A full bar is a probability of 1."]
    if len(phrases) > 1:
        same = count - int(moved(list(phrases)).sum())
        notes += [
            f"{same} of {counted(count, 'byte')} have the same expert everywhere."
        ]
    fig = canvas(
        alt=_alt(phrases),
        title=title,
        notes=notes,
        inner=len(phrases) * tall * LINE,
        theme=theme,
        xaxis=dict(range=[0, WIDTH]),
        yaxis=dict(range=[len(phrases) * tall, 0]),
    )
    spots = [
        (i % WIDTH, p * tall + several + i // WIDTH, one, i)
        for p, one in enumerate(phrases)
        for i in range(count)
    ]
    fig.update_layout(shapes=_bars(spots, theme))
    heads = [p * tall + 0.7 * several for p in range(len(phrases))] if several else []
    fig.add_scatter(
        x=[0] * len(heads), y=heads, mode="text", textposition="middle right",
        text=[f"<b>after {plain(p.before)}</b>" if p.before else "<b>alone</b>"
              for p in phrases][: len(heads)],
        textfont=dict(color=look_of(theme).ink, size=12), showlegend=False,
        hoverinfo="skip", name="before",
    )  # fmt: skip
    fig.add_traces([_bytes(spots, theme), _letters(spots, theme)])
    return fig


def _bars(spots: list[tuple], theme: str) -> list[dict]:
    """Bars of probability in the experts' colours, and the frames that they fill."""
    (top, foot), frames = BAR, []
    bars: dict[int, list[str]] = {}
    for x, y, one, i in spots:
        high = (foot - top) * one.probability[i].item()
        frames.append(box(x + 0.15, y + top, x + 0.85, y + foot))
        bar = box(x + 0.15, y + foot - high, x + 0.85, y + foot)
        bars.setdefault(int(one.expert[i]), []).append(bar)
    shapes = path(frames, fillcolor=faded("#808080", 0.14))
    for e, drawn in sorted(bars.items()):
        shapes += path(drawn, fillcolor=colour(e, theme))
    return shapes


def _bytes(spots: list[tuple], theme: str) -> go.Scatter:
    texts = [one.characters[i] for _, _, one, i in spots]
    told = [
        f"{plain(readable([int(one.byte[i])]))}: {letter(int(one.expert[i]))}"
        f" {one.probability[i].item():.0%}"
        for _, _, one, i in spots
    ]
    return go.Scatter(
        x=[x + 0.5 for x, *_ in spots], y=[y + 0.15 for _, y, *_ in spots],
        mode="text", text=[printed("␣" if t == " " else t) for t in texts],
        textfont=dict(color=look_of(theme).ink, size=14, family="monospace"),
        customdata=told, hovertemplate="%{customdata}<extra></extra>",
        showlegend=False, name="bytes",
    )  # fmt: skip


def _letters(spots: list[tuple], theme: str) -> go.Scatter:
    experts = [int(one.expert[i]) for _, _, one, i in spots]
    tints = [colour(e, theme) for e in experts]
    return go.Scatter(
        x=[x + 0.5 for x, *_ in spots], y=[y + 0.78 for _, y, *_ in spots],
        mode="markers+text", text=[f"<b>{letter(e)}</b>" for e in experts],
        textfont=dict(color=[ink_on(c) for c in tints],
                      size=[11 if e < 26 else 9 for e in experts]),
        marker=dict(symbol="square", size=17, color=tints, opacity=1),
        showlegend=False, hoverinfo="skip", name="experts",
    )  # fmt: skip


def _alt(phrases: Sequence[RoutedPhrase]) -> str:
    told = []
    for one in phrases:
        letters = " ".join(map(letter, one.expert.tolist()))
        before = f"after {one.before}" if one.before else "alone"
        told.append(f"{before}: {letters}")
    phrase = readable(phrases[0].byte.tolist())
    count = counted(len(phrases[0].byte), "byte")
    return (
        f"The {count} of \u201c{phrase}\u201d, each with a bar for the router's"
        f" probability and the letter of its expert; {'; '.join(told)}."
    )
