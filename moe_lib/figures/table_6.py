"""The picture of table 6: quality and balance, row by row, the paper's marks hollow."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from moe_lib.course.columns import Columns
from moe_lib.course.table_6 import HEADS, REFERENCE, Row, rows_of
from moe_lib.figures.panels import COLOURS, grid_of_panels
from moe_lib.figures.style import INK, figure

#: Of the CVs, and of the busiest expert.
TICKS = ([0.01, 0.1, 1, 10], [1, 2, 5, 10, 20])


def table_6_figure(
    columns: Columns,
    *,
    theme: str = "both",
    title: str = "What do the two losses buy?",
) -> go.Figure:
    """Four panels, a line for each pair of coefficients, a mark for each seed.

    Perplexities are divided by that of row 0.1, 0.1, here and in the paper, since
    they are of a word there and of a byte here. The rest has a logarithmic axis.

    Args:
        columns: as `course.table_6.rows_of` wants them.

    Raises:
        ValueError: row (0.1, 0.1) is missing, and as `rows_of`.
    """
    rows = rows_of(columns)
    reference = next((row for row in rows if row.name == REFERENCE), None)
    if reference is None:
        raise ValueError(
            f"no row {REFERENCE!r}: measure it, others are compared with it"
        )
    fig = figure(alt=_alt(rows, reference), title=title, height=560, theme=theme)
    first, *balance = HEADS
    grid_of_panels(fig, 2, [f"{first}, relative", *balance],
                   vertical_spacing=0.14)  # fmt: skip
    for place in range(len(HEADS)):
        at = dict(row=place // 2 + 1, col=place % 2 + 1)
        _panel(fig, rows, reference if place == 0 else None, place, at)
    names = [row.name for row in rows]
    fig.update_yaxes(range=[len(rows) - 0.5, -0.5], tickvals=list(range(len(rows))),
                     ticktext=names, showticklabels=False)  # fmt: skip
    fig.update_yaxes(showticklabels=True, col=1,
                     title=dict(text="w importance, w load"))  # fmt: skip
    for row, col in ((1, 2), (2, 1), (2, 2)):
        ticks = TICKS[row == col]
        fig.update_xaxes(type="log", tickvals=ticks, row=row, col=col,
                         ticktext=[f"{tick:g}" for tick in ticks])  # fmt: skip
    fig.update_traces(cliponaxis=False)
    return fig.update_layout(margin=dict(t=104, l=84), legend_y=1.07)


def _panel(
    fig: go.Figure, rows: Sequence[Row], reference: Row | None, place: int, at: dict
) -> None:
    """One measure; ``reference``: the row that its values are divided by."""
    scale = reference.ours[place].mean().item() if reference else 1.0
    printed = reference.paper[place] if reference else 1.0
    marks = [
        (value / scale, y)
        for y, row in enumerate(rows)
        for value in row.ours[place].tolist()
    ]
    paper = [(row.paper[place] / printed, y) for y, row in enumerate(rows) if row.paper]
    look = dict(mode="markers", showlegend=place == 0, **at)
    fig.add_scatter(
        x=[x for x, _ in paper], y=[y for _, y in paper], name="paper",
        legendgroup="paper", hovertemplate="paper: %{x:.3g}<extra></extra>", **look,
        marker=dict(symbol="diamond-open", size=12, color=INK, line=dict(width=1.8)),
    )  # fmt: skip
    fig.add_scatter(
        x=[x for x, _ in marks], y=[y for _, y in marks], name="here, per seed",
        legendgroup="here", hovertemplate="here: %{x:.3g}<extra></extra>", **look,
        marker=dict(symbol="circle", size=8, color=COLOURS[0], opacity=0.75),
    )  # fmt: skip


def _alt(rows: Sequence[Row], reference: Row) -> str:
    told = []
    for row in rows:
        quality, *balance = (values.mean().item() for values in row.ours)
        quality /= reference.ours[0].mean().item()
        measures = ", ".join(
            f"{head} {value:.2f}"
            for head, value in zip(HEADS[1:], balance, strict=True)
        )
        told.append(f"{row.name}: perplexity × {quality:.3f}, {measures}")
    return (
        "Perplexity against that of row 0.1, 0.1, and balance of the experts on"
        f" held-out text, mean over the seeds. {'; '.join(told)}."
    )
