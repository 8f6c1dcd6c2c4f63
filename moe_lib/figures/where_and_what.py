"""Pictures of the deep mixture of 2013: what its experts follow."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from torch import Tensor

from moe_lib.course.where_and_what import WhereWhat
from moe_lib.figures.palette import BOTH
from moe_lib.figures.panels import grid_of_panels
from moe_lib.figures.style import INK, figure
from moe_lib.notation import letter


def layers_figure(result: WhereWhat, places: Tensor) -> go.Figure:
    """For each layer: the winner at each place, and the winners for each digit.

    ``places`` ``[S, 2]``: pixels down and right, as `ShiftedDigits.places`.
    """
    layers = len(result.digits)
    fig = figure(
        alt="A row for each layer. Left: a map of the places, each tile marked with"
        " the expert that wins there most often. Right: a bar for each digit, cut by"
        " the experts' shares. In layer 1 the map has regions and the bars are alike;"
        " in layer 2 the bars differ.",
        title="What does the choice of expert depend on?",
        height=240 * layers + 60,
        showlegend=False,
        barmode="stack",
    )
    titles = [f"layer {k + 1}: {t}" for k in range(layers) for t in (
        "winner at each place", "winners for each digit")]  # fmt: skip
    grid_of_panels(fig, layers, titles)
    for k in range(layers):
        _place_map(fig, k + 1, result.places[k], places)
        by_digit = result.digits[k] / result.digits[k].sum(dim=1, keepdim=True)
        for e in range(by_digit.shape[1]):
            column = by_digit[:, e].tolist()
            text = [letter(e) if share > 0.12 else "" for share in column]
            fig.add_bar(x=list(range(10)), y=column, marker_color=BOTH[e],
                        text=text, textposition="inside", insidetextanchor="middle",
                        textangle=0, textfont=dict(color="white"),
                        hovertemplate=f"digit %{{x}}, {letter(e)}: %{{y:.2f}}"
                        "<extra></extra>", row=k + 1, col=2)  # fmt: skip
        fig.update_xaxes(tickvals=list(range(10)), row=k + 1, col=2)
        fig.update_yaxes(range=[0, 1], row=k + 1, col=2)
    fig.update_xaxes(title=dict(text="digit"), row=layers, col=2)
    fig.update_xaxes(title=dict(text="pixels to the right"), row=layers, col=1)
    fig.update_yaxes(title=dict(text="pixels down"), col=1)
    fig.update_layout(margin=dict(t=70))
    return fig


def _place_map(fig: go.Figure, row: int, joint: Tensor, places: Tensor) -> None:
    share = joint / joint.sum(dim=1, keepdim=True)  # [S, E]
    best, winner = share.max(dim=1)
    fig.add_scatter(
        x=places[:, 1].tolist(), y=places[:, 0].tolist(), mode="markers+text",
        text=[letter(e) for e in winner.tolist()],
        textfont=dict(color="white", size=12),
        marker=dict(symbol="square", size=[15 + 12 * b for b in best.tolist()],
                    opacity=1, color=[BOTH[e] for e in winner.tolist()]),
        customdata=best.tolist(),
        hovertemplate="%{text} wins %{customdata:.0%} here<extra></extra>",
        row=row, col=1,
    )  # fmt: skip
    edge = places.abs().max().item() + 0.6
    fig.update_xaxes(range=[-edge, edge], row=row, col=1, showgrid=False)
    fig.update_yaxes(range=[edge, -edge], row=row, col=1, showgrid=False,
                     scaleanchor=f"x{2 * row - 1}".replace("x1", "x"),
                     constrain="domain")  # fmt: skip
    fig.update_xaxes(constrain="domain", row=row, col=1)


def information_figure(
    results: Sequence[WhereWhat], before: Sequence[WhereWhat] = ()
) -> go.Figure:
    """Mutual information of expert with place and with digit, a mark per seed.

    ``before``: the same networks untrained, for comparison.
    """
    layers = len(results[0].where)
    fig = figure(
        alt="Mutual information in nats, one mark per seed. Layer 1: high with the"
        " place, near zero with the digit. Layer 2: near zero with the place, higher"
        " with the digit.",
        title="Does the choice of expert tell where the digit is, or what it is?",
        y="mutual information (nats)",
        height=360,
    )
    for i, (name, attribute) in enumerate((("where", "where"), ("what", "what"))):
        for soft in (False, True):
            key = f"soft_{attribute}" if soft else attribute
            xs, ys = [], []
            for layer in range(layers):
                for s, result in enumerate(results):
                    xs.append(2 * layer + i + (0.14 if soft else -0.14) + 0.04 * s)
                    ys.append(getattr(result, key)[layer])
            symbol = ("circle", "diamond")[i] + ("-open" if soft else "")
            fig.add_scatter(x=xs, y=ys, mode="markers",
                            name=f"{name}, {'whole gate' if soft else 'winner'}",
                            marker=dict(size=11, symbol=symbol, line_width=2,
                                        color=BOTH[(4, 1)[i]]))  # fmt: skip
    for i, attribute in enumerate(("where", "what")):
        pairs = [(k, getattr(b, attribute)[k]) for k in range(layers) for b in before]
        fig.add_scatter(x=[2 * k + i - 0.28 for k, _ in pairs],
                        y=[v for _, v in pairs], mode="markers", name="untrained",
                        showlegend=i == 0 and bool(pairs),
                        marker=dict(symbol="x-thin", size=9, line_width=2,
                                    line_color=INK))  # fmt: skip
    ticks = [f"layer {k + 1}: {w}" for k in range(layers) for w in ("where", "what")]
    fig.update_traces(cliponaxis=False)
    fig.update_xaxes(tickvals=list(range(2 * layers)), ticktext=ticks)
    fig.update_yaxes(rangemode="tozero")
    return fig
