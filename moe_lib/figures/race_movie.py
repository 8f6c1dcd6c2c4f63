"""The race as a movie: who is ahead, and how evenly each router loads its experts."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
import torch
from torch import Tensor

from moe_lib.course.switch_runs import SwitchRun
from moe_lib.figures.movie import add_frames
from moe_lib.figures.palette import colour
from moe_lib.figures.panels import grid_of_panels
from moe_lib.figures.style import figure, look_of
from moe_lib.figures.words import sample
from moe_lib.notation import letter

MOST_FRAMES = 24
TALL = 3.0  # times its fair share: an expert's bar ends there
LANE = 54  # px
START = 8.0  # bits of a byte that all are as likely as


def race_movie(
    runs: Mapping[str, SwitchRun],
    *,
    theme: str = "both",
    title: str = "Who is ahead?",
) -> go.Figure:
    """A lane for each router, the best on top; beside it the load of its experts.

    A bar grows from 8 bits per byte to what the model needs for its batches, the mean
    of the steps since the frame before. An expert's bar is its share of the choices of
    the same steps; the dotted line is the fair share.

    Args:
        runs: name -> its run, as `run_race` gives them, all of the same steps.

    Raises:
        ValueError: no runs, or runs of unlike length.
    """
    lengths = {name: len(run.history["bits_per_byte"]) for name, run in runs.items()}
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{name} has {n}" for name, n in lengths.items()) or "none"
        raise ValueError(f"runs: {told}: give one or more with equally many steps")
    steps = next(iter(lengths.values()))
    ends = [k + 1 for k in sample(steps, MOST_FRAMES)[0]]
    bits = {n: _means(run.history["bits_per_byte"], ends) for n, run in runs.items()}
    loads = {
        name: _means(run.history["demand"][:, 0], ends)
        for name, run in runs.items()
        if "demand" in run.history
    }
    labels = {name: _label(name, run) for name, run in runs.items()}
    fig = figure(
        alt=_alt(bits, loads, ends), title=f"<b>{title}</b>", theme=theme,
        height=150 + LANE * len(runs), showlegend=False,
        margin=dict(l=48, r=12, t=76, b=100),
    )  # fmt: skip
    grid_of_panels(
        fig, 1, ["bits per byte of its batches", "load of its experts"],
        column_widths=[0.64, 0.36], horizontal_spacing=0.05,
    )  # fmt: skip
    best = min(values.min().item() for values in bits.values())
    _axes(fig, len(runs), best)
    look = look_of(theme)
    for k in range(len(runs)):
        fig.add_scatter(
            mode="lines", line=dict(width=11, color=colour(k, theme)), row=1, col=1,
            hoverinfo="skip",
        )  # fmt: skip
        fig.add_scatter(
            mode="text", textposition="middle right", hoverinfo="skip", row=1, col=1,
            textfont=dict(size=12, color=look.ink), cliponaxis=False,
        )  # fmt: skip
    for name, shares in loads.items():
        experts = range(shares.shape[1])
        fig.add_bar(
            x=[(e + 0.5) / len(experts) for e in experts], width=0.8 / len(experts),
            marker=dict(color=[colour(e, theme) for e in experts], line_width=0),
            customdata=[f"{name}, {letter(e)}" for e in experts],
            hovertemplate="%{customdata}<extra></extra>", row=1, col=2,
        )  # fmt: skip
    for _ in runs.keys() - loads.keys():
        fig.add_scatter(mode="text", textposition="top center", hoverinfo="skip",
                        textfont=dict(size=12, color=look.muted), row=1,
                        col=2)  # fmt: skip
    for lane in range(len(runs)):
        y = lane + 0.34 - 0.68 / TALL
        fig.add_shape(type="line", x0=0, x1=1, y0=y, y1=y, row=1, col=2,
                      line=dict(color=look.muted, width=1, dash="dot"))  # fmt: skip
    states = [_state(f, bits, loads, labels) for f in range(len(ends))]
    names = [str(step) for step in ends]
    add_frames(fig, states, range(len(fig.data)), names, theme=theme, prefix="step ")
    return fig.update_layout(barmode="overlay")


def _means(values: Tensor, ends: list[int]) -> Tensor:
    """``[S, ...]`` -> ``[F, ...]``: means of the steps from one end to the next."""
    starts = [0, *ends[:-1]]
    pieces = [
        values[a:b].float().mean(dim=0) for a, b in zip(starts, ends, strict=True)
    ]
    return torch.stack(pieces)


def _label(name: str, run: SwitchRun) -> str:
    ahead = run.setup.router == "expert choice" and not run.setup.masked
    return f"{name} (sees ahead)" if ahead else name


def _state(
    frame: int,
    bits: Mapping[str, Tensor],
    loads: Mapping[str, Tensor],
    labels: Mapping[str, str],
) -> list[dict]:
    """What every trace shows in a frame: bars and names, then loads."""
    now = {name: values[frame].item() for name, values in bits.items()}
    order = sorted(now, key=now.get)
    lane = {name: k for k, name in enumerate(order)}
    traces = []
    for name, value in now.items():
        y = lane[name]
        traces.append(dict(type="scatter", x=[START, round(value, 3)],
                           y=[y + 0.2, y + 0.2]))  # fmt: skip
        traces.append(dict(type="scatter", x=[START], y=[y - 0.18],
                           text=[f"<b>{labels[name]}</b> {value:.2f}"]))  # fmt: skip
    for name, values in loads.items():
        tall = (values[frame] * values.shape[1]).clamp(max=TALL) * 0.68 / TALL
        traces.append(dict(type="bar", y=[-round(v, 3) for v in tall.tolist()],
                           base=lane[name] + 0.34))  # fmt: skip
    for name in now.keys() - loads.keys():
        traces.append(dict(type="scatter", x=[0.5], y=[lane[name] + 0.1],
                           text=["no experts"]))  # fmt: skip
    return traces


def _axes(fig: go.Figure, lanes: int, best: float) -> None:
    fig.update_yaxes(range=[lanes - 0.5, -0.5], showticklabels=False, ticks="",
                     showgrid=False)  # fmt: skip
    fig.update_xaxes(range=[START, best - 0.1], nticks=6, col=1)
    fig.update_xaxes(range=[0, 1], showticklabels=False, ticks="", showgrid=False,
                     col=2)  # fmt: skip


def _alt(
    bits: Mapping[str, Tensor], loads: Mapping[str, Tensor], ends: list[int]
) -> str:
    last = {name: values[-1].item() for name, values in bits.items()}
    told = ", ".join(f"{name} {last[name]:.2f}" for name in sorted(last, key=last.get))
    busy = ", ".join(
        f"{name} {(values[-1].max() * values.shape[1]).item():.1f}"
        for name, values in loads.items()
    )
    return (
        f"Movie of {len(bits)} routers over {ends[-1]} steps, the best on top. Bits per"
        f" byte of the batches at the end: {told}. The busiest expert then, in fair"
        f" shares: {busy}."
    )
