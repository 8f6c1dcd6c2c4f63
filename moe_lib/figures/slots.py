"""The buffers: each expert's places, filled, empty, or missing beyond the wall."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from moe_lib.checks import require_count
from moe_lib.figures.buffers import bars_of, boxes_of, marks_in
from moe_lib.figures.drawing import badges, canvas, legend_of
from moe_lib.figures.grammar import DECLINED, marks
from moe_lib.figures.style import look_of
from moe_lib.figures.words import counted, require_tokens, sample, story
from moe_lib.routing import Routing

PHONE = 330  # px between the axes on a phone
NUMBERED, PLACED = 14, 40  # longest queue whose marks have numbers; that has marks
WIDE = 1.35  # the width of a diamond, in sizes
MOST_ROWS = 64  # buffers in one picture


def slots(
    routing: Routing,
    tokens: Sequence[str] | None = None,
    *,
    group: int | None = 0,
    theme: str = "both",
    title: str = "Who gets a place, and who is too late?",
) -> go.Figure:
    """A line of places for each expert, filled in order of arrival.

    A place is tinted where a row took it and hatched where it is empty. Beyond the
    wall at the capacity stand, hollow, the rows that came too late; a hollow mark
    within the wall was declined by lot, and leaves its place empty. Marks bear the
    token's number, from 1. Queues of more than 40 are drawn as bars.

    Args:
        tokens: the texts, T of them, for the hover; None: numbers from 1.
        group: the group whose buffers are drawn, from 0; None: all groups, of more
            than 64 buffers a sample of the groups. Without groups there is only 0.

    Raises:
        ValueError: no such group; not one text for each token; an unknown theme.
    """
    names, rows = require_tokens(tokens, routing), marks(routing)
    size = routing.group_size or routing.num_tokens
    count, experts = routing.num_tokens // size, routing.num_experts
    shown, said = _groups(group, count, experts, size)
    line = {
        (g, e): i * experts + e for i, g in enumerate(shown) for e in range(experts)
    }
    seen = np.flatnonzero(rows.real & np.isin(rows.group, shown))
    queue = rows.position[seen]
    longest = int(queue.max(initial=-1)) + 1
    wall = routing.capacity
    length = max(longest, wall or 0, 1)
    height = 34 if len(line) <= 8 else 26 if len(line) <= 16 else 14
    room = "No capacity: every buffer grows with its queue, and no row is too late."
    if wall is not None:
        filled = int(rows.kept[seen].sum())
        places = wall * len(line)
        room = f"{filled:,} of {counted(places, 'place')} filled"
        room += f"; {places - filled:,} empty (hatched)." if filled < places else "."
    hint = "Hollow within the wall: declined, and its place is empty."
    if not (rows.fate[seen] == DECLINED).any() or wall is None:
        hint = ""
    fig = canvas(
        alt=f"Buffers of {counted(experts, 'expert')}{f', {said}' if said else ''}."
        f" {f'Capacity {wall}. ' if wall is not None else ''}{room} {story(routing)}",
        title=title,
        notes=filter(None, [room, hint, f"Shown: {said}." if said else ""]),
        inner=len(line) * height,
        theme=theme,
        left=30,
        top=22 if wall is not None else 4,
        legend=legend_of(rows, theme, crossed=False) if length <= PLACED else (),
        xaxis=dict(
            range=[-0.6, max(length + 0.6, 8.5)]
            if length <= PLACED
            else [0, 1.04 * length]
        ),
        yaxis=dict(range=[len(line) - 0.5, -0.5]),
        barmode="stack",
    )
    spots = zip(rows.group[seen].tolist(), rows.expert[seen].tolist(), strict=True)
    y = np.array([line[spot] for spot in spots], dtype=int)
    shapes, letters = badges([e for _, e in line], list(line.values()), theme, "left")
    if length <= PLACED:
        mark = PHONE / max(length + 1.2, 9.1) / WIDE
        mark = min(height - (10 if height > 14 else 6), mark)
        numbers = length <= NUMBERED and height > 14
        shapes += boxes_of(rows, seen, y, line, wall, theme)
        fig.add_traces([*marks_in(rows, seen, y, names, mark, numbers, theme)])
    else:
        fig.add_traces([*bars_of(rows, seen, y, line, wall, theme)])
    if wall is not None:
        at = wall - 0.42 if length <= PLACED else wall
        shapes.append(
            dict(type="line", x0=at, x1=at, y0=0, y1=1, yref="paper",
                 line=dict(color=look_of(theme).ink, width=3))
        )  # fmt: skip
        letters.append(
            dict(x=at, y=1, yref="paper", yanchor="bottom", showarrow=False,
                 text=f"<b>capacity C = {wall:,}</b>", font=dict(size=12))
        )  # fmt: skip
    return fig.update_layout(shapes=shapes, annotations=letters)


def _groups(
    group: int | None, count: int, experts: int, size: int
) -> tuple[list[int], str]:
    """The groups to show, and the words for it."""
    if group is None:
        shown, said = sample(count, max(MOST_ROWS // experts, 1), "groups")
        return shown, said or (f"all {count} groups" if count > 1 else "")
    if require_count("group", group, minimum=0) >= count:
        raise ValueError(
            f"group={group} but there are {counted(count, 'group')}: give a group below"
            f" {count}, or None for all"
        )
    if count == 1:
        return [0], ""
    first, last = group * size + 1, (group + 1) * size
    return [group], f"group {group} of 0 to {count - 1}, tokens {first:,} to {last:,}"
