"""What more experts buy where the arithmetic stays: perplexity above, costs below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from torch import Tensor

from moe_lib.course.byte_setup import Setup
from moe_lib.course.measurements_02 import best_name, names_of, sizes
from moe_lib.course.stored_results import StoredResult
from moe_lib.figures.panels import COLOURS, DASHES, SYMBOLS, grid_of_panels
from moe_lib.figures.style import INK, MUTED, figure

Rows = Mapping[str, Tensor]  # column -> [S]
TIMES = [0.25, 0.5, 1, 2, 4, 8, 16, 32]
BETWEEN = dict(orientation="h", x=0, xanchor="left", y=0.4, yanchor="bottom")
RATES = ("circle", "triangle-down", "triangle-up", "square", "diamond")


def equal_arithmetic(
    columns: Rows | StoredResult,
    models: Mapping[int, Setup] | None = None,
    *,
    theme: str = "both",
    title: str = "What do more experts buy?",
) -> go.Figure:
    """Perplexity over the number of experts, and below it what each of them costs.

    Args:
        columns: "16: perplexity", "16: training perplexity" (or none), "16: seconds";
            the dense model's may begin "1 at 0.02", one for each learning rate, and
            the best of them in the mean counts: as `size_columns` and the stored
            measurements name them.
        models: number of experts -> the setup that was trained; None: those of the
            stored measurement.

    Raises:
        ValueError: a number of experts without a perplexity.
    """
    if models is None:
        models = sizes(Setup(**columns.data["config"]["base"]))
    columns = dict(columns)
    chosen = {experts: best_name(columns, experts) for experts in models}
    costs = {experts: costs_of(columns, chosen[experts], models[experts])
             for experts in models}  # fmt: skip
    first, at_work = min(models), models[max(models)].top_k
    ratio = {
        name: [costs[e][name] / costs[first][name] for e in models]
        for name in costs[first]
    }
    fig = figure(alt=_alt(columns, chosen, ratio), title=title, height=600,
                 theme=theme, legend2=BETWEEN)  # fmt: skip
    compared = "dense" if first == 1 else f"{first} experts"
    grid_of_panels(fig, 2, ["", ""], vertical_spacing=0.22)
    _perplexities(fig, columns, chosen)
    _costs(fig, ratio, costs)
    ticks = dict(tickvals=list(models), ticktext=[str(e) for e in models])
    edge = [-0.3, 2.15]  # of log10 experts, with room for words on the right
    fig.update_xaxes(type="log", range=edge, **ticks)
    fig.update_xaxes(title=dict(text=f"experts ({at_work} at work for each byte)"),
                     row=2)  # fmt: skip
    fig.update_yaxes(title=dict(text="perplexity per byte"), row=1)
    fig.update_yaxes(title=dict(text=f"cost / {compared}"), row=2,
                     type="log", tickvals=TIMES)  # fmt: skip
    return fig.update_layout(margin=dict(t=76))


def costs_of(columns: Rows, name: str, setup: Setup) -> dict[str, float]:
    """Of the feed-forward layer: FLOPs of a byte forward, the router's noise included,
    parameters, bytes of training memory; and seconds of a training step."""
    layer = setup.feed_forward
    noise = layer.router_parameters if setup.noise else 0
    return {
        "FLOPs per byte": layer.flops(1) + 2 * noise,
        "parameters": layer.total_parameters + noise,
        "training memory": layer.memory(setup.tokens).total + 16 * noise,
        "time per step": columns[f"{name}: seconds"].mean().item() / setup.steps,
    }


def _perplexities(fig: go.Figure, columns: Rows, chosen: Mapping[int, str]) -> None:
    for part, colour, dash, opened in (
        ("perplexity", INK, "solid", ""),
        ("training perplexity", MUTED, "dot", "-open"),
    ):
        if f"{next(iter(chosen.values()))}: {part}" not in columns:
            continue
        name = "training" if opened else "held-out"
        means = [columns[f"{n}: {part}"].mean().item() for n in chosen.values()]
        fig.add_scatter(x=list(chosen), y=means, mode="lines", name=name,
                        legendgroup=name, line=dict(color=colour, width=2, dash=dash),
                        hoverinfo="skip", row=1, col=1)  # fmt: skip
        for experts in chosen:
            for k, run in enumerate(names_of(columns, experts)):
                values = columns[f"{run}: {part}"].tolist()
                rate = run.partition(" at ")[2]
                told = f"{experts} experts" if experts > 1 else "dense"
                told += f", learning rate {rate}" if rate else ""
                fig.add_scatter(
                    x=[experts * 1.18 ** (k - 1 if rate else 0)] * len(values),
                    y=values, mode="markers", showlegend=False, legendgroup=name,
                    marker=dict(color=colour, size=8, opacity=0.9,
                                line=dict(width=1.5 if opened else 0, color=colour),
                                symbol=RATES[k % len(RATES)] + opened),
                    hovertemplate=f"{told}, {name}: %{{y:.3f}}<extra></extra>",
                    row=1, col=1,
                )  # fmt: skip


def _costs(
    fig: go.Figure, ratio: Mapping[str, Sequence[float]], costs: Mapping[int, Mapping]
) -> None:
    heights = apart([values[-1] for values in ratio.values()])
    for k, (name, values) in enumerate(ratio.items()):
        fig.add_scatter(
            x=list(costs), y=values, mode="lines+markers", name=name, legend="legend2",
            line=dict(color=COLOURS[k], width=2.5, dash=DASHES[k]),
            marker=dict(symbol=SYMBOLS[k], size=9, color=COLOURS[k]),
            customdata=[f"{costs[e][name]:,.4g}" for e in costs],
            hovertemplate=f"{name}: × %{{y:.2f}} (%{{customdata}})<extra></extra>",
            row=2, col=1,
        )  # fmt: skip
        fig.add_scatter(
            x=[max(costs) * 1.1], y=[heights[k]], mode="text", showlegend=False,
            text=[f"× {values[-1]:.2g}"], textposition="middle right",
            textfont=dict(size=12, color=INK), hoverinfo="skip", row=2, col=1,
        )  # fmt: skip


def apart(values: Sequence[float], factor: float = 1.35) -> list[float]:
    """The values, those too near the next lower one raised to ``factor`` times it."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    placed, floor = list(values), 0.0
    for i in order:
        placed[i] = max(values[i], floor)
        floor = factor * placed[i]
    return placed


def _alt(columns: Rows, chosen: Mapping[int, str], ratio: Mapping) -> str:
    means = ", ".join(
        f"{columns[f'{name}: perplexity'].mean():.2f} with {name}"
        for name in chosen.values()
    )
    last = max(chosen)
    costs = "; ".join(f"{name} × {values[-1]:.1f}" for name, values in ratio.items())
    return (
        f"Held-out perplexity per byte, mean over the seeds, by the number of experts:"
        f" {means}. Below, what {last} experts cost against the first: {costs}."
    )
