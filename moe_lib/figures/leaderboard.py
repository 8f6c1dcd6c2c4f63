"""The leaderboard of exercise 04b.2 as a picture."""

from __future__ import annotations

import plotly.graph_objects as go

from moe_lib.course.leaderboard_standings import Board
from moe_lib.figures.panels import COLOURS, SYMBOLS
from moe_lib.figures.style import figure

KINDS = {False: "the course's", True: "yours"}


def leaderboard_figure(
    board: Board,
    *,
    theme: str = "both",
    title: str = "Who predicts best after 60 seconds?",
) -> go.Figure:
    """A row for each entry, the best on top; a mark for each seed.

    Args:
        board: as `leaderboard` gives it, or a `Score` has it.
    """
    told = "; ".join(f"{one.label} {one.bits:.3f}" for one in board.standings)
    rows = list(enumerate(board.standings))
    fig = figure(
        alt=f"Held-out bits per byte of each entry, the best first: {told}.",
        title=title, x="bits per byte of held-out text, lower is better",
        height=150 + 50 * len(rows), theme=theme,
    )  # fmt: skip
    for k, (yours, name) in enumerate(KINDS.items()):
        marks = [
            (result.bits, row, f"{one.label}, {result.steps:,.0f} steps")
            for row, one in rows
            if one.yours == yours
            for result in one.results
        ]
        if not marks:
            continue
        x, y, text = (list(column) for column in zip(*marks, strict=True))
        fig.add_scatter(
            x=x, y=y, text=text, mode="markers", name=name,
            marker=dict(color=COLOURS[k], symbol=SYMBOLS[k], size=10),
            hovertemplate="%{text}: %{x:.3f}<extra></extra>", showlegend=True,
        )  # fmt: skip
    for row, one in rows:
        fig.add_annotation(
            text=f"{row + 1}. {one.label}", x=0, xref="paper", xanchor="left",
            y=row - 0.34, showarrow=False, font=dict(size=12),
        )  # fmt: skip
    fig.update_yaxes(range=[len(rows) - 0.6, -0.65], showticklabels=False, ticks="",
                     tickvals=[row for row, _ in rows])  # fmt: skip
    return fig.update_layout(margin=dict(l=16, t=104))
