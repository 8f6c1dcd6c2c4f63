"""How a router settles: tokens that change expert, and its logits, along training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from torch import Tensor

from moe_lib.figures.panels import COLOURS, DASHES, SYMBOLS, grid_of_panels
from moe_lib.figures.style import figure

PANELS = {
    "changed": "tokens that changed expert since, %",
    "lse": "mean logsumexp of the logits",
    "max logit": "largest logit, without its sign",
}


def settling(
    runs: Mapping[str, Mapping[str, Tensor]],
    steps: Sequence[int],
    *,
    theme: str = "both",
    title: str = "Does the router settle?",
) -> go.Figure:
    """A line for each kind of run in three panels; with seeds their mean and spread.

    Args:
        runs: name -> "changed" ``[C - 1]``, "lse" and "max logit" ``[C]``, or with
            seeds in front, ``[S, C - 1]`` and ``[S, C]``.
        steps: C steps at which the router was looked at.
    """
    fig = figure(title=title, height=640, theme=theme, alt=_alt(runs, steps),
                 margin=dict(t=110, l=60, b=50))  # fmt: skip
    grid_of_panels(fig, 3, list(PANELS.values()), vertical_spacing=0.11)
    for row, what in enumerate(PANELS, 1):
        for k, (name, found) in enumerate(runs.items()):
            values = _by_seed(found, what)  # [S, C or C - 1]
            spread = None
            if len(values) > 1:
                spread = dict(array=values.std(dim=0).tolist(), thickness=1.2, width=3)
            fig.add_scatter(
                x=list(steps[-values.shape[1] :]), y=values.mean(dim=0).tolist(),
                mode="lines+markers", name=name, legendgroup=name, error_y=spread,
                showlegend=row == 1, row=row, col=1,
                line=dict(color=COLOURS[k], dash=DASHES[k], width=2),
                marker=dict(symbol=SYMBOLS[k], size=8),
                hovertemplate=f"{name}, step %{{x}}: %{{y:.3g}}<extra></extra>",
            )  # fmt: skip
    fig.update_xaxes(range=[0, 1.03 * steps[-1]], tickvals=list(steps))
    fig.update_xaxes(title=dict(text="step"), row=3)
    fig.update_yaxes(rangemode="tozero", row=1)
    return fig


def _by_seed(found: Mapping[str, Tensor], what: str) -> Tensor:
    """``[S, C]``, or one row fewer of "changed", which is in per cent."""
    values = found[what].double()
    values = values if values.ndim == 2 else values[None]
    return 100 * values if what == "changed" else values


def _alt(runs: Mapping[str, Mapping[str, Tensor]], steps: Sequence[int]) -> str:
    told = []
    for name, found in runs.items():
        changed, lse, largest = (
            _by_seed(found, what).mean(dim=0).tolist() for what in PANELS
        )
        told.append(
            f"{name}: {changed[0]:.0f} % of the tokens changed expert between steps"
            f" {steps[0]} and {steps[1]}, {changed[-1]:.0f} % between the last two"
            f" looks; logsumexp went from {lse[0]:.2f} to {lse[-1]:.2f}, the largest"
            f" logit from {largest[0]:.1f} to {largest[-1]:.1f}"
        )
    return ". ".join(told) + "."
