"""The picture of GShard's tables 1 and 3: quality against cost."""

from __future__ import annotations

import plotly.graph_objects as go

from moe_lib.course.cost_quality import ALL, DENSE, Trained
from moe_lib.figures.panels import COLOURS
from moe_lib.figures.style import INK, figure

#: Layers -> symbol, colour, and where the name stands.
MARKS = {
    36: ("circle", COLOURS[0], "bottom right"),
    12: ("diamond", COLOURS[1], "top left"),
    96: ("square", INK, "top center"),
}


def cost_quality(
    *, theme: str = "both", title: str = "What did quality cost?"
) -> go.Figure:
    """BLEU over core-years (log), a line for each depth, the dense model apart."""
    told = "; ".join(
        f"{model.name}: {model.core_years:g} core-years, BLEU {model.bleu:g}"
        for model in ALL
    )
    fig = figure(
        alt=f"Mean BLEU over 100 languages against core-years of TPU v3. {told}.",
        title=title,
        x="core-years, log scale",
        y="mean BLEU",
        height=440,
        theme=theme,
        margin=dict(t=100),
    )
    for layers, (symbol, colour, place) in MARKS.items():
        models = sorted(
            (model for model in ALL if model.layers == layers),
            key=lambda model: model.core_years,
        )
        kind = "dense" if models[0] is DENSE else "E experts"
        fig.add_scatter(
            x=[model.core_years for model in models],
            y=[model.bleu for model in models],
            mode="lines+markers+text", name=f"{kind}, {layers} layers",
            text=[_label(model) for model in models], textposition=place,
            customdata=[model.name for model in models],
            hovertemplate="%{customdata}: %{x:g} core-years, BLEU %{y:g}"
            "<extra></extra>",
            marker=dict(symbol=symbol, size=12, color=colour),
            line=dict(color=colour, width=1.5, dash="dot"),
        )  # fmt: skip
    ticks = [1, 3, 10, 30, 100, 300]
    fig.update_xaxes(type="log", tickvals=ticks, ticktext=list(map(str, ticks)),
                     range=[-0.3, 2.65])  # fmt: skip
    fig.update_yaxes(range=[35, 46])
    return fig.update_traces(cliponaxis=False)


def _label(model: Trained) -> str:
    return f"{model.experts:,} E" if model.experts else "dense"
