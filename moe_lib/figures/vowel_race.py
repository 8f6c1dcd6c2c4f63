"""Pictures of the race of 1991: epochs per system, and the effect of the step size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import torch

from moe_lib.course.vowel_race import RaceResult
from moe_lib.figures.palette import BOTH
from moe_lib.figures.style import figure


def race_figure(
    results: Sequence[RaceResult], paper: Mapping[str, tuple[float, float]]
) -> go.Figure:
    """Epochs of every run, a column per system; the paper's mean and SD beside it."""
    fig = figure(
        alt="Epochs until the error is 0.08, one mark a run, for "
        + "; ".join(f"{r.system.name}: {r.epochs.nanmean():.0f}" for r in results)
        + ". Hollow diamonds: the paper's means.",
        title="How many epochs to an average squared error of 0.08?",
        y="epochs",
    )
    for i, result in enumerate(results):
        name, spread = (
            result.system.name,
            torch.linspace(-0.16, 0.16, len(result.epochs)),
        )
        fig.add_scatter(
            x=(i - 0.15 + spread).tolist(), y=result.epochs.tolist(), mode="markers",
            marker=dict(color=BOTH[4 if result.system.experts else 1], size=6,
                        symbol="circle" if result.system.experts else "square"),
            name=name, showlegend=False, hovertemplate="%{y} epochs",
        )  # fmt: skip
    means, spreads = zip(*(paper[r.system.name] for r in results), strict=True)
    fig.add_scatter(
        x=[i + 0.2 for i in range(len(results))], y=list(means), mode="markers",
        marker=dict(symbol="diamond-open", size=11, color=BOTH[7], line_width=2),
        error_y=dict(array=list(spreads)), name="the paper, mean and SD of 25",
    )  # fmt: skip
    for name, color, symbol in (
        ("mixtures here, one mark a seed", BOTH[4], "circle"),
        ("BP here", BOTH[1], "square"),
    ):
        marker = dict(color=color, symbol=symbol, size=6)
        fig.add_scatter(x=[None], y=[None], mode="markers", name=name, marker=marker)
    ticks = dict(tickvals=list(range(len(results))))
    fig.update_xaxes(ticktext=[r.system.name for r in results], **ticks)
    fig.update_yaxes(rangemode="tozero")
    return fig


def step_size_figure(results: Mapping[float, Sequence[RaceResult]]) -> go.Figure:
    """Epochs against the step size, both on log scales, one line per system."""
    fig = figure(
        alt="Epochs to the error of 0.08 against the step size, a line per system: "
        + "; ".join(
            f"{r.system.name} "
            + (
                "never arrives"
                if r.epochs.isnan().all()
                else f"needs {r.epochs.nanmean():.0f}"
            )
            + f" at step {lr:g}"
            for lr, row in results.items()
            for r in row
        ),
        title="What if every system takes its own best step?",
        x="step size",
        y="epochs, mean of the runs that arrived",
    )
    for i, system in enumerate(r.system for r in next(iter(results.values()))):
        column = [row[i] for row in results.values()]
        lost = [int(c.epochs.isnan().sum()) for c in column]
        shape = ["circle", "diamond", "square", "triangle-up"][i % 4]
        fig.add_scatter(
            x=list(results), y=[c.epochs.nanmean().item() for c in column],
            name=system.name, mode="lines+markers",
            line=dict(dash="solid" if system.experts else "dash"),
            marker=dict(symbol=[shape + ("-open" if n else "") for n in lost], size=10),
            customdata=lost,
            hovertemplate="step %{x}: %{y:.0f} epochs, %{customdata} runs lost",
        )  # fmt: skip
    fig.update_xaxes(
        type="log", tickvals=list(results), ticktext=[f"{lr:g}" for lr in results]
    )
    fig.update_yaxes(type="log", tickvals=[10, 20, 50, 100, 200, 500, 1000])
    return fig


def survivors_figure(
    results: Sequence[RaceResult], title: str = "How many experts survive?"
) -> go.Figure:
    """Runs by the number of experts with a mean gate above 5 %, a row per system."""
    names = [r.system.name for r in results]
    counts = [r.survivors.bincount().tolist() for r in results]
    rows = [
        (name, alive, runs)
        for name, row in zip(names, counts, strict=True)
        for alive, runs in enumerate(row)
        if runs
    ]
    fig = figure(
        go.Scatter(
            x=[alive for _, alive, _ in rows], y=[name for name, _, _ in rows],
            text=[f"  {runs}" for _, _, runs in rows], textposition="middle right",
            mode="markers+text", hovertemplate="%{y}: %{x} experts in%{text} runs",
            marker=dict(color=BOTH[4], size=[8 + 5 * runs**0.5 for *_, runs in rows],
                        line_width=0, opacity=1),
        ),
        alt="Number of runs by experts alive. " + "; ".join(
            f"{name}: {runs} runs with {alive}" for name, alive, runs in rows
        ),
        title=title,
        x="experts with a mean share above 5 % (the numbers count runs)",
        height=120 + 44 * len(results),
    )  # fmt: skip
    most = max(r.system.experts for r in results)
    fig.update_layout(margin_t=44)
    fig.update_yaxes(autorange="reversed")
    fig.update_xaxes(dtick=1, range=[0.5, most + 0.5])
    return fig
