"""The leak of expert choice: which answers move, and what it does to the bits."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
from torch import Tensor

from moe_lib.course.columns import Columns
from moe_lib.figures.panels import COLOURS, SYMBOLS, grid_of_panels
from moe_lib.figures.style import MUTED, figure

SHOWN = (  # panel, column, its name
    (1, "read", "read as a whole"),
    (1, "written", "written byte by byte"),
    (2, "load cv", "load CV"),
    (2, "unserved", "share without expert"),
)


def leak_map(
    moved: Mapping[str, Tensor],
    *,
    text: str = "",
    theme: str = "both",
    title: str = "The last byte changes: whose answer moves?",
) -> go.Figure:
    """A row for each router, a square for each token whose answer moves.

    Args:
        moved: router -> how far each token's answer moves, ``[T]``, as
            `moe_lib.course.leak` finds it; all of one length.
        text: T characters, shown when a square is touched.
    """
    rows = list(moved)
    counts = {name: int((far > 0).sum()) for name, far in moved.items()}
    length = max((len(far) for far in moved.values()), default=0)
    told = "; ".join(f"{name}: {count} of {length}" for name, count in counts.items())
    fig = figure(
        alt=f"Tokens whose answer moves when a later one changes. {told}.",
        title=title, x="position in the text", theme=theme,
        height=110 + 58 * len(rows), showlegend=False,
    )  # fmt: skip
    for row, (name, far) in enumerate(moved.items()):
        still = [t for t in range(len(far)) if far[t] == 0]
        touched = [t for t in range(len(far)) if far[t] > 0]
        for places, symbol, size, colour in (
            (still, "line-ns", 7, MUTED),
            (touched, "square", 7, COLOURS[1]),
        ):
            shown = [f"{text[t]!r}, moves by {far[t].item():.2g}" if t < len(text)
                     else f"moves by {far[t].item():.2g}" for t in places]  # fmt: skip
            fig.add_scatter(
                x=places, y=[row] * len(places), mode="markers", customdata=shown,
                marker=dict(symbol=symbol, size=size, color=colour,
                            line=dict(color=colour, width=1.5)),
                hovertemplate="position %{x}: %{customdata}<extra></extra>",
            )  # fmt: skip
        _name_row(fig, row, f"<b>{name}</b>: {counts[name]} move")
    fig.update_yaxes(visible=False, range=[len(rows) - 0.5, -0.75])
    return fig


def leak_costs(
    columns: Columns,
    *,
    theme: str = "both",
    title: str = "What is left when nobody can look ahead?",
) -> go.Figure:
    """Bits per byte read and written, and who serves whom; a mark for each seed.

    Args:
        columns: as `measure_leak` gives them.
    """
    names_of = (key.partition(": ") for key in columns.keys())
    arms = [arm for arm, _, what in names_of if what == "written"]
    gaps = {
        arm: (columns[f"{arm}: written"] - columns[f"{arm}: read"]).mean().item()
        for arm in arms
    }
    told = "; ".join(f"{arm} {1000 * lost:.1f}" for arm, lost in gaps.items())
    fig = figure(
        alt=f"Thousandths of a bit per byte lost by writing step by step: {told}.",
        title=title, theme=theme, height=170 + 60 * len(arms),
    )  # fmt: skip
    grid_of_panels(fig, 1, ["bits per byte", "load CV, without expert"],
                   horizontal_spacing=0.1)  # fmt: skip
    for k, (panel, what, name) in enumerate(SHOWN):
        marks = [(value, row, arms[row]) for row, arm in enumerate(arms)
                 for value in columns[f"{arm}: {what}"].flatten().tolist()]  # fmt: skip
        x, y, names = (list(column) for column in zip(*marks, strict=True))
        shift = 0.12 * (k % 2)
        fig.add_scatter(
            x=x, y=[row + shift for row in y], mode="markers", name=name,
            customdata=names, row=1, col=panel,
            marker=dict(color=COLOURS[k], symbol=SYMBOLS[k], size=9),
            hovertemplate=f"%{{customdata}}<br>{name}: %{{x:.3f}}<extra></extra>",
        )  # fmt: skip
    for row, arm in enumerate(arms):
        _name_row(fig, row, f"<b>{arm}</b>")
    fig.update_yaxes(range=[len(arms) - 0.4, -0.75], showticklabels=False, dtick=1)
    fig.update_layout(legend=dict(orientation="h", y=-0.12, yanchor="top"))
    return fig


def _name_row(fig: go.Figure, row: int, text: str) -> None:
    fig.add_annotation(
        text=text, x=0, xref="paper", xanchor="left", y=row - 0.38, yref="y",
        showarrow=False, font=dict(size=12),
    )  # fmt: skip
