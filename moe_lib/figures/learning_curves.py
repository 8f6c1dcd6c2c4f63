"""Loss along the text that was read, one line for each number of experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import plotly.graph_objects as go
import torch
from torch import Tensor

from moe_lib.course.byte_runs import ByteRun
from moe_lib.figures.panels import COLOURS, DASHES, grid_of_panels
from moe_lib.figures.style import figure

BLOCKS = 40  # points of a line


def learning_curves(
    runs: Mapping[int, Sequence[ByteRun]],
    *,
    theme: str = "both",
    title: str = "From when on do more experts pay?",
) -> go.Figure:
    """Bits per training byte against bytes seen; below, what is saved on the fewest.

    Runs of one seed see the same batches, so the difference is far calmer than the
    curves. Lines are means over seeds, averaged over stretches of steps that grow with
    the axis; thin lines are the seeds.

    Args:
        runs: number of experts -> runs, the same seeds and steps for each.

    Raises:
        ValueError: one number of experts only, or runs of unlike length.
    """
    lengths = {len(run.curve) for group in runs.values() for run in group}
    if len(runs) < 2 or len(lengths) != 1:
        raise ValueError(
            f"{len(runs)} sizes with runs of {sorted(lengths)} steps: give at least"
            " two, all trained equally long"
        )
    edges = stretches(lengths.pop())
    curves = {
        e: torch.stack([averaged(run.curve, edges) for run in group])
        for e, group in runs.items()
    }  # each [S, blocks]
    first = min(curves)
    saved = {e: curves[first] - curve for e, curve in curves.items()}
    tokens = next(iter(runs.values()))[0].setup.tokens
    seen = [(a + b) / 2 * tokens for a, b in pairwise(edges)]
    fig = figure(alt=_alt(curves, saved, seen), title=title, height=600, theme=theme)
    base = "dense" if first == 1 else f"{first} experts"
    grid_of_panels(fig, 2, ["", ""], vertical_spacing=0.1)
    for k, e in enumerate(curves):
        look = dict(color=COLOURS[k % 4], dash=DASHES[k % 4])
        for row, group in ((1, curves[e]), (2, saved[e])):
            _lines(fig, seen, group, row, "dense" if e == 1 else f"{e} experts", look)
    fig.update_xaxes(type="log", dtick=1, minor=dict(ticks="outside", ticklen=3))
    fig.update_xaxes(title=dict(text="bytes seen, log scale"), row=2)
    late = [c[:, len(seen) // 3 :] for c in curves.values()]
    low = min(c.min().item() for c in late)
    high = max(c.max().item() for c in late)
    fig.update_yaxes(title=dict(text="bits per byte"), row=1,
                     range=[low - 0.1, high + 0.1])  # fmt: skip
    fig.update_yaxes(title=dict(text=f"bits fewer than {base}"), row=2)
    return fig


def stretches(steps: int) -> list[int]:
    """Edges of stretches of steps that look alike on a logarithmic axis.

    The first hundredth of the steps is left out: the start is the same for all.
    """
    last = torch.tensor(float(steps)).log10().item()
    edges = torch.logspace(max(0.0, last - 2), last, BLOCKS + 1)
    return edges.round().long().unique().tolist()


def averaged(curve: Tensor, edges: Sequence[int]) -> Tensor:
    """Means of a curve ``[steps]`` over the stretches between the edges."""
    return torch.stack([curve[a:b].mean() for a, b in pairwise(edges)])


def _lines(
    fig: go.Figure, x: list[float], group: Tensor, row: int, name: str, look: dict
) -> None:
    shown = dict(x=x, mode="lines", row=row, col=1)
    for curve in group:
        fig.add_scatter(y=curve.tolist(), showlegend=False, hoverinfo="skip",
                        opacity=0.3, line=dict(width=1) | look, **shown)  # fmt: skip
    fig.add_scatter(
        y=group.mean(dim=0).tolist(), name=name, legendgroup=name, showlegend=row == 1,
        line=dict(width=2.5) | look, **shown,
        hovertemplate=f"{name}: %{{y:.3f}}<extra></extra>",
    )  # fmt: skip


def _alt(curves: Mapping[int, Tensor], saved: Mapping, seen: list[float]) -> str:
    first, *others = curves
    ends = ", ".join(f"{c[:, -1].mean():.2f} with {e}" for e, c in curves.items())
    told = []
    for e in others:
        behind = (saved[e].mean(dim=0) <= 0).nonzero().flatten().tolist()
        if not behind:
            told.append(f"{e} lead from the start")
        elif behind[-1] == len(seen) - 1:
            told.append(f"{e} are not ahead at the end")
        else:
            told.append(f"{e} are ahead for good after {seen[behind[-1]]:,.0f} bytes")
    return (
        f"Bits per training byte against bytes seen, by the number of experts; at the"
        f" end {ends}. Against {first}: {'; '.join(told)}."
    )
