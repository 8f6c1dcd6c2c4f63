"""Pictures of the shrinking batch: tokens per expert, and the speed of few rows."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import torch

from moe_lib.course.shrinking_batch import (
    ExpertBatches,
    ProductSpeed,
    tokens_per_expert,
)
from moe_lib.figures.palette import colour
from moe_lib.figures.style import figure, look_of
from moe_lib.figures.tints import faded
from moe_lib.figures.words import counted
from moe_lib.notation import count_text

ZERO = 0.2  # where 0 tokens stand on a logarithmic axis
DASHES = ("solid", "dash", "dot")


def shrinking_batch(
    batches: ExpertBatches,
    *,
    devices: Sequence[int] = (16, 256),
    theme: str = "both",
    title: str = "More experts: what is left for each?",
) -> go.Figure:
    """Tokens per expert over the number of experts, both logarithmic.

    Marks: measured, mean, smallest and largest expert. Lines: k b / n, and k b d / n
    for the batches of d ``devices`` together.
    """
    counts = list(batches.loads)
    loads = [load.double() for load in batches.loads.values()]
    means = [load.mean().item() for load in loads]
    least, most = ([f(load).item() for load in loads] for f in (torch.min, torch.max))
    fig = figure(
        alt=f"Tokens per expert against experts, both logarithmic, for a batch of"
        f" {batches.tokens:,} tokens that choose {batches.top_k} each. The mean falls"
        f" along a straight line from {means[0]:,.0f} with {counts[0]:,} experts to"
        f" {means[-1]:,.0f} with {counts[-1]:,}, where the experts get {least[-1]:,.0f}"
        f" to {most[-1]:,.0f}. Parallel lines above it stand for"
        f" {' and '.join(map(str, devices))} devices.",
        title=title,
        x="experts n, log scale",
        y="tokens per expert, log scale",
        height=400,
        theme=theme,
    )
    look, blue = look_of(theme), colour(4, theme)
    for k, d in enumerate((1, *devices)):
        y = [tokens_per_expert(batches.tokens, batches.top_k, n, d) for n in counts]
        line = dict(width=1.5, dash=DASHES[k % 3], color=look.muted if k else look.ink)
        fig.add_scatter(
            x=counts, y=y, mode="lines+text", line=line,
            name="k b / n, and k b d / n", showlegend=not k,
            text=[f"{d} devices" if k else ""], textposition="top right",
            hovertemplate="%{x} experts: %{y:,.4g}<extra></extra>",
        )  # fmt: skip
    fig.add_scatter(
        x=counts * 2, y=[max(v, ZERO) for v in least + most], mode="markers",
        showlegend=False, customdata=least + most,
        marker=dict(symbol="line-ew-open", size=16, color=blue, line_width=2.5),
        hovertemplate="%{x} experts: %{customdata:,}<extra></extra>",
    )  # fmt: skip
    fig.add_scatter(
        x=counts, y=means, mode="markers", name="measured: smallest, mean, largest",
        marker=dict(size=9, color=blue),
        hovertemplate="%{x} experts: %{y:,.4g} on average<extra></extra>",
    )  # fmt: skip
    fig.update_xaxes(type="log", tickvals=counts, ticktext=[f"{n:,}" for n in counts])
    zero = [ZERO] * (min(least) < 1)
    powers = [10**p for p in range(10)]
    names = ["0" for _ in zero] + [count_text(power) for power in powers]
    fig.update_yaxes(type="log", tickvals=zero + powers, ticktext=names)
    return fig


def product_speed(
    speed: ProductSpeed,
    *,
    theme: str = "both",
    title: str = "What does an expert do with few rows?",
) -> go.Figure:
    """Throughput of all experts' products over the rows of one, log rows.

    The line is the median of the repeats, the band from the slowest to the fastest.
    """
    rows = list(speed.rows)
    slow, middle, fast = (
        torch.quantile(speed.gflops, q, dim=0).tolist() for q in (0.0, 0.5, 1.0)
    )
    kernels = torch.backends.cpu.get_cpu_capability()
    machine = f"{counted(speed.threads, 'CPU thread')}, {kernels} kernels"
    fig = figure(
        alt=f"Throughput of the experts' products against rows per expert, the same"
        f" {speed.total_rows:,} rows in all each time, on {machine}:"
        f" {middle[0]:.3g} GFLOP/s with {counted(rows[0], 'row')} each,"
        f" {middle[-1]:.3g} with {counted(rows[-1], 'row')} in one expert.",
        title=title,
        x=f"rows of one expert, log scale<br>{speed.total_rows:,} rows in all,"
        f" {speed.d_model} to {speed.d_ff} to {speed.d_model}<br>{machine}",
        y="GFLOP/s",
        height=390,
        theme=theme,
        showlegend=False,
    )
    blue = colour(4, theme)
    fig.add_scatter(
        x=rows + rows[::-1], y=fast + slow[::-1], mode="lines", line_width=0,
        fill="toself", fillcolor=faded(blue, 0.22), hoverinfo="skip",
    )  # fmt: skip
    fig.add_scatter(
        x=rows, y=middle, mode="lines+markers", line=dict(color=blue, width=2.5),
        customdata=[counted(speed.total_rows // n, "expert") for n in rows],
        hovertemplate="%{x} rows, %{customdata}: %{y:.1f} GFLOP/s<extra></extra>",
    )  # fmt: skip
    named = ["" if i % 2 else f"{n:,}" for i, n in enumerate(rows)]
    fig.update_xaxes(type="log", tickvals=rows, ticktext=named, tickangle=0)
    fig.update_yaxes(rangemode="tozero")
    return fig.update_layout(margin=dict(b=84))
