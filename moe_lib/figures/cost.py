"""What a model costs: parameters against FLOPs against memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import plotly.graph_objects as go
import torch

from moe_lib.accounting import FeedForward, Transformer
from moe_lib.checks import require_count
from moe_lib.figures.style import LOOKS, figure
from moe_lib.figures.words import counted, plain
from moe_lib.notation import bytes_text, count_text

ROW = 70  # px, of a model
WIDE = 100  # where the largest value is so many times the smallest, the scale is log
GAP = 0.05  # between panels, of the width


def cost(
    models: Mapping[str, FeedForward | Transformer],
    *,
    num_tokens: int = 2048,
    sequence_length: int = 512,
    dtype: torch.dtype = torch.float32,
    optimiser: str = "adam",
    theme: str = "both",
    title: str = "What does it cost to hold, to run and to train?",
) -> go.Figure:
    """A row for each model; in it parameters, FLOPs per token and memory as bars.

    Solid within hollow: of all parameters the active ones, of the memory of a training
    step the weights.

    Args:
        models: name -> `FeedForward` or `Transformer` of `moe_lib.accounting`.
        num_tokens: of the batch whose FLOPs (shared out among its tokens) and
            activations are counted.
        sequence_length: for attention; a `FeedForward` has none.
        dtype, optimiser: for the memory, as in `Transformer.memory`.

    Raises:
        ValueError: no models, or something that is not from `moe_lib.accounting`.
    """
    require_count("num_tokens", num_tokens)
    if not models:
        raise ValueError("models is empty: give at least one name and its sizes")
    rows = []
    for name, model in models.items():
        if not isinstance(model, FeedForward | Transformer):
            raise ValueError(
                f"{name!r} is a {type(model).__name__}: give a FeedForward or a"
                " Transformer of moe_lib.accounting"
            )
        lengths = (sequence_length,) if isinstance(model, Transformer) else ()
        memory = model.memory(num_tokens, dtype, optimiser)
        flops = model.flops(num_tokens, *lengths) / num_tokens
        rows.append((
            (model.active_parameters, model.total_parameters),
            (flops, flops),
            (memory.weights, memory.total),
        ))  # fmt: skip
    fig = figure(
        alt=_alt(list(models), rows, optimiser),
        title=f"<b>{title}</b>",
        height=round(ROW * (len(rows) + 0.87)) + 56,
        theme=theme,
        showlegend=False,
        barmode="overlay",
        margin=dict(l=12, r=12, t=44, b=12),
    )
    total = "all" if optimiser == "none" else "training step"
    parts = [("parameters", "active", "all", count_text),
             ("FLOPs per token", "forward", "", count_text),
             ("memory", "weights", total, bytes_text)]  # fmt: skip
    for panel, (part, solid, hollow, words) in enumerate(parts):
        key = f"solid: {solid}<br>hollow: {hollow}" if hollow else solid
        _panel(
            fig,
            panel,
            f"<b>{part}</b>",
            key,
            [row[panel] for row in rows],
            words,
            theme,
        )
    names = dict(
        text=[f"<b>{plain(name)}</b>" for name in models], textposition="middle right"
    )
    starts = fig.data[2].x
    places = [row - 0.24 for row in range(len(rows))]
    fig.add_scatter(x=starts, y=places, mode="text", cliponaxis=False, **names)
    return fig


def _panel(
    fig: go.Figure,
    panel: int,
    part: str,
    key: str,
    pairs: list,
    words: Callable,
    theme: str,
) -> None:
    """Bars of one quantity, each with its numbers under it."""
    look = LOOKS[theme]
    low = min(solid for solid, _ in pairs)
    high = max(hollow for _, hollow in pairs)
    log = high > WIDE * low
    start = low / 3 if log else 0.0
    ends = [math.log10(start), math.log10(high)] if log else [0, high]
    axes = dict(xaxis=f"x{panel + 1}", yaxis=f"y{panel + 1}")
    places = list(range(len(pairs)))
    for k, (name, fill) in enumerate(
        (("solid", look.ink), ("hollow", "rgba(0,0,0,0)"))
    ):
        values = [pair[k] for pair in pairs]
        fig.add_bar(
            orientation="h", base=start, x=[value - start for value in values],
            y=places, width=0.22, offset=-0.06, **axes,
            marker=dict(color=fill, line=dict(color=look.ink, width=1.5)),
            customdata=[words(value) for value in values],
            hovertemplate=f"{name}: %{{customdata}}<extra></extra>",
        )  # fmt: skip
    told = [words(b) if a == b else f"{words(a)} of {words(b)}" for a, b in pairs]
    lines = [(told, [row + 0.34 for row in places], "middle right"),
             ([f"{part} (log)" if log else part], [-1.02], "top right"),
             ([key], [-0.95], "bottom right")]  # fmt: skip
    inside = start + 1e-6 * (high - start)  # on the very edge it would be hidden
    for text, y, position in lines:
        fig.add_scatter(
            x=[inside] * len(text), y=y, text=text, mode="text", hoverinfo="skip",
            textposition=position, textfont_size=12, cliponaxis=False, **axes,
        )  # fmt: skip
    still = dict(
        automargin=False, showticklabels=False, showline=False, ticks="", zeroline=False
    )
    left = panel * (1 + GAP) / (3 + 2 * GAP)
    fig.update_layout({
        f"xaxis{panel + 1}": dict(
            domain=[left, left + 1 / (3 + 2 * GAP)], anchor=f"y{panel + 1}",
            range=ends, type="log" if log else "linear", dtick=1,
            showgrid=log, gridcolor=look.grid, **still,
        ),
        f"yaxis{panel + 1}": dict(
            domain=[0, 1], anchor=f"x{panel + 1}", range=[len(pairs) - 0.45, -1.32],
            showgrid=False, **still,
        ),
    })  # fmt: skip


def _alt(names: list[str], rows: list, optimiser: str) -> str:
    told = [
        f"{name}: {count_text(total)} parameters, {count_text(active)} of them active;"
        f" {count_text(flops)} FLOPs per token; {bytes_text(weights)} of weights"
        + f", {bytes_text(step)} in training with {optimiser}"
        * (optimiser != "none")
        for name, ((active, total), (flops, _), (weights, step)) in zip(
            names, rows, strict=True
        )
    ]
    return f"Cost of {counted(len(names), 'model')}. " + ". ".join(told) + "."
