"""Expert parallelism: how many bytes each rank sends to whom."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import torch
from torch import Tensor

from moe_lib.figures.palette import colour
from moe_lib.figures.style import LOOKS, figure
from moe_lib.figures.tints import faded
from moe_lib.figures.words import counted
from moe_lib.notation import bytes_text

NUMBERED = 8  # up to so many ranks every cell shows its number
MAIN, SIDE = 0.76, 0.8  # where the cells end and the sums begin, of width and height


def traffic(
    matrix_bytes: Tensor | Sequence[Sequence[float]],
    *,
    theme: str = "both",
    title: str = "Who sends how much to whom?",
) -> go.Figure:
    """Bytes from rank to rank, with the sums of rows and columns beside them.

    Args:
        matrix_bytes: ``[R, R]``, from the row's rank to the column's. What is on the
            diagonal never leaves its device: marked as free, in no sum.

    Raises:
        ValueError: not a square of finite numbers of at least 0.
    """
    sizes = _checked_matrix(matrix_bytes)
    ranks, home = list(range(len(sizes))), sizes.diagonal()
    moving = sizes - home.diag()
    sent, received = moving.sum(dim=1), moving.sum(dim=0)
    crossing, staying = bytes_text(float(moving.sum())), bytes_text(float(home.sum()))
    numbers = [f"{crossing} cross, {staying} stay at home (free)",
               _busiest("sends", sent), _busiest("receives", received)]  # fmt: skip
    fig = figure(
        alt=f"Bytes between {counted(len(ranks), 'rank')}, a row for each"
        f" sender and a column for each receiver. {'; '.join(numbers)}.",
        title=f"<b>{title}</b>",
        y="from rank",
        height=500,
        theme=theme,
        showlegend=False,
        bargap=0.14,
        margin=dict(t=44, r=24),
    )
    blue, few = colour(4, theme), len(ranks) <= NUMBERED
    gap = 2 if len(ranks) <= 24 else 0
    words = [[bytes_text(value) for value in row] for row in sizes.tolist()]
    fig.add_heatmap(
        x=ranks, y=ranks, z=moving.tolist(), showscale=False,
        xgap=gap, ygap=gap,
        colorscale=[[0, faded(blue, 0.05)], [1, faded(blue, 0.5)]], customdata=words,
        hovertemplate="rank %{y} to rank %{x}: %{customdata}<extra></extra>",
    )  # fmt: skip
    if few:
        fig.add_scatter(
            x=ranks * len(ranks), y=[rank for rank in ranks for _ in ranks],
            text=[_two_lines(word) for row in words for word in row], mode="text",
            textfont_size=11, hoverinfo="skip",
        )  # fmt: skip
    for name, sums, along, across in (("received", received, "x", "y"),
                                      ("sent", sent, "y", "x")):  # fmt: skip
        told = [bytes_text(value) for value in sums.tolist()]
        fig.add_bar(
            **{along: ranks, across: sums.tolist(), f"{across}axis": f"{across}2"},
            orientation="v" if along == "x" else "h", marker_color=blue,
            text=[_two_lines(word) for word in told] if few else None, customdata=told,
            textposition="outside", textangle=0, textfont_size=11, cliponaxis=False,
            hovertemplate=f"rank %{{{along}}}: %{{customdata}} {name}<extra></extra>",
        )  # fmt: skip
    free = dict(type="rect", line=dict(color=LOOKS[theme].muted, width=1.2, dash="dot"))
    fig.update_layout(shapes=[
        dict(x0=r - 0.45, x1=r + 0.45, y0=r - 0.45, y1=r + 0.45, **free) for r in ranks
    ])  # fmt: skip
    _axes(fig, len(ranks), float(sent.max()), float(received.max()))
    fig.update_layout(xaxis_title_text="to rank<br>" + "<br>".join(numbers))
    return fig


def _axes(fig: go.Figure, ranks: int, sent: float, received: float) -> None:
    every = list(range(0, ranks, 1 + (ranks - 1) // 10))
    cells = dict(domain=[0, MAIN], tickvals=every, showgrid=False, ticks="",
                 showline=False)  # fmt: skip
    sums = dict(domain=[SIDE, 1], showticklabels=False, showgrid=False, ticks="",
                zeroline=False, showline=False)  # fmt: skip
    fig.update_layout(
        xaxis=dict(range=[-0.5, ranks - 0.5], **cells),
        yaxis=dict(range=[ranks - 0.5, -0.5], **cells),
        xaxis2=dict(
            range=[0, 1.6 * sent or 1],
            anchor="y",
            title=dict(text="sent", font_size=13),
            **sums,
        ),
        yaxis2=dict(
            range=[0, 1.6 * received or 1],
            anchor="x",
            title=dict(text="received", font_size=13),
            **sums,
        ),
    )


def _two_lines(words: str) -> str:
    """Number over unit, to fit a narrow cell."""
    return words.replace(" ", "<br>")


def _busiest(does: str, sums: Tensor) -> str:
    mean = float(sums.mean())
    if not mean:
        return f"nobody {does}"
    rank = int(sums.argmax())
    return f"rank {rank} {does} most: {float(sums[rank]) / mean:.2f} × the mean"


def _checked_matrix(values: Tensor | Sequence[Sequence[float]]) -> Tensor:
    sizes = torch.as_tensor(values, dtype=torch.float64).detach().cpu()
    if sizes.ndim != 2 or sizes.shape[0] != sizes.shape[1] or not len(sizes):
        raise ValueError(
            f"matrix_bytes has shape {list(sizes.shape)}: give a square [R, R], from"
            " the row's rank to the column's"
        )
    bad = ~(sizes.isfinite() & (sizes >= 0))
    if bad.any():
        cell = bad.nonzero()[0].tolist()
        raise ValueError(
            f"matrix_bytes{cell} is {sizes[tuple(cell)].item()}: give finite numbers of"
            " at least 0"
        )
    return sizes
