"""The picture of interference: error on task A while only task B is trained."""

from __future__ import annotations

import plotly.graph_objects as go

from moe_lib.course.interference import Interference
from moe_lib.figures.palette import BOTH
from moe_lib.figures.style import figure

NAMES = {
    "net": ("one net", BOTH[1], "dash"),
    "strong": ("mixture, each expert strong enough for both", BOTH[5], "dot"),
    "weak": ("mixture of straight lines", BOTH[3], "solid"),
}


def interference_figure(result: Interference) -> go.Figure:
    """Mean over the seeds as a line, every seed as a thin one."""
    ends = {name: result.damage(name).mean().item() for name in NAMES}
    fig = figure(
        alt="Error on task A while task B changes, mean growth: "
        + "; ".join(f"{NAMES[name][0]} {value:.2f}" for name, value in ends.items()),
        title="Does learning B hurt what was known of A?",
        x="steps on task B alone",
        y="squared error on task A",
    )
    for name, (label, color, dash) in NAMES.items():
        errors = getattr(result, name)
        for seed in range(errors.shape[1]):
            fig.add_scatter(
                y=errors[:, seed].tolist(), mode="lines", opacity=0.25,
                line=dict(color=color, width=1, dash=dash), showlegend=False,
                hoverinfo="skip",
            )  # fmt: skip
        fig.add_scatter(
            y=errors.mean(dim=1).tolist(), mode="lines", name=label,
            line=dict(color=color, width=3, dash=dash),
        )  # fmt: skip
    return fig
