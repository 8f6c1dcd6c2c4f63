"""The repair lab: the load of its experts before and after."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
from torch import Tensor

from moe_lib.figures.palette import colour
from moe_lib.figures.panels import grid_of_panels
from moe_lib.figures.style import figure, look_of
from moe_lib.notation import letter


def lab_load_figure(
    loads: Mapping[str, Tensor],
    *,
    theme: str = "both",
    title: str = "How many of the experts are at work?",
) -> go.Figure:
    """A panel for each model, a bar for each expert: images that chose it.

    Args:
        loads: name -> ``[E]`` int64, counts of choices on the same number of images.

    Raises:
        ValueError: an unknown theme.
    """
    told = []
    for name, load in loads.items():
        idle = int((load == 0).sum())
        told.append(f"{name}, {len(load) - idle} of {len(load)} experts are chosen")
    fig = figure(
        alt=f"Bars of the load on the test images: {'; '.join(told)}.",
        title=title,
        height=300,
        theme=theme,
        showlegend=False,
    )
    grid_of_panels(fig, 1, list(loads))
    for column, load in enumerate(loads.values(), 1):
        letters = [letter(e) for e in range(len(load))]
        fig.add_bar(
            x=letters, y=load.tolist(), row=1, col=column,
            marker=dict(color=[colour(e, theme) for e in range(len(load))]),
            hovertemplate="%{x}: %{y} images<extra></extra>",
        )  # fmt: skip
        fair = load.sum().item() / len(load)
        fig.add_hline(
            y=fair, row=1, col=column,
            line=dict(color=look_of(theme).ink, width=1.5, dash="dash"),
        )  # fmt: skip
    fig.update_yaxes(matches="y", range=[0, None], rangemode="tozero")
    fig.update_yaxes(showticklabels=False, col=2)
    fig.update_yaxes(title_text="images (dashed: fair share)", row=1, col=1)
    return fig.update_xaxes(
        title_text="expert", tickangle=0, dtick=1, tickfont=dict(size=11)
    )
