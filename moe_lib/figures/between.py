"""Pictures of the years between: EM against descent, and gradients of a hard gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from torch import Tensor

from moe_lib.course.em_race import ArmTable, Curves
from moe_lib.course.hard_gate_race import GateErrors, GateSweep
from moe_lib.figures.panels import COLOURS, DASHES, SYMBOLS, grid_of_panels
from moe_lib.figures.style import INK, MUTED, figure

PASSES = [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000]


def _add_curves(
    fig: go.Figure, curves: Sequence[Curves], *, level: float, level_name: str
) -> None:
    """A line per start along a logarithmic count of passes, and a level to compare."""
    longest = max(len(c.values) for c in curves)
    fig.add_scatter(x=[1, longest], y=[level] * 2, mode="lines", name=level_name,
                    line=dict(color=MUTED, dash="dash", width=1.5))  # fmt: skip
    for k, curve in enumerate(curves):
        keep = _log_spaced(len(curve.values))
        for s in range(curve.values.shape[1]):
            fig.add_scatter(
                x=keep, y=[round(v, 5) for v in curve.values[keep, s].tolist()],
                mode="lines", name=curve.name, legendgroup=curve.name,
                showlegend=s == 0, opacity=0.8,
                line=dict(color=COLOURS[k], width=1.6, dash=DASHES[k]),
                hovertemplate=f"{curve.name}<br>pass %{{x}}: %{{y:.3f}}<extra></extra>",
            )  # fmt: skip
    fig.update_xaxes(type="log", tickvals=PASSES)


def em_race_figure(curves: Sequence[Curves], *, ceiling: float) -> go.Figure:
    """Log-likelihood along each way to learn; a thin line per start, log passes.

    ``ceiling``: the log-likelihood of the truth that made the data.
    """
    fig = figure(
        alt="Log-likelihood per case against passes over the data, on a logarithmic"
        f" scale, for {', '.join(c.name for c in curves)}, one line per start. EM's"
        " lines rise first; a dashed line marks what the true model reaches.",
        title="How many passes over the data until the zigzag is understood?",
        x="passes over the data (EM iterations or gradient steps), log scale",
        y="log-likelihood per case",
        height=400,
    )
    _add_curves(fig, curves, level=ceiling, level_name="the truth")
    fig.update_yaxes(range=[-1.6, ceiling + 0.15])
    return fig


def arm_figure(table: ArmTable) -> go.Figure:
    """Test error on the robot arm along the passes, a line per start, both logs."""
    curves = (table.tree, *table.nets)
    fig = figure(
        alt="Relative error on unseen movements of the arm against passes over the"
        " data, both logarithmic. The tree of experts under EM falls in the first"
        " passes and stays; the networks fall later and end lower.",
        title="How soon, and how well, is the arm learnt?",
        x="passes over the data, log scale",
        y="relative error, log scale",
        height=380,
    )
    _add_curves(fig, curves, level=table.linear.item(), level_name="linear fit")
    fig.update_yaxes(type="log", tickvals=[0.01, 0.03, 0.1, 0.3, 1],
                     ticktext=["0.01", "0.03", "0.1", "0.3", "1"])  # fmt: skip
    return fig


def sweep_figure(sweep: GateSweep) -> go.Figure:
    """Each estimate of one slope, mean and spread, over the exact one."""
    fig = figure(
        alt="Four panels, one per estimator: its mean and one standard deviation over"
        " the exact slope, against the gate's probability for expert 1. REINFORCE is"
        " centred on the exact line with a wide band, the baseline narrows it; the"
        " straight-through estimate has its own line, which meets the exact one where"
        " the probability is one half; so has the soft gate, without any band.",
        title="Which estimates are right on average, and which are quiet?",
        height=380,
        showlegend=False,
    )
    grid_of_panels(fig, 1, list(sweep.mean))
    x = sweep.share.tolist()
    for k, (name, mean) in enumerate(sweep.mean.items()):
        at, spread = dict(row=1, col=k + 1), sweep.spread[name]
        for sign, fill in ((1, None), (-1, "tonexty")):
            fig.add_scatter(x=x, y=(mean + sign * spread).tolist(), mode="lines",
                            line=dict(width=0), fill=fill, hoverinfo="skip",
                            fillcolor=_faint(COLOURS[k]), **at)  # fmt: skip
        fig.add_scatter(x=x, y=sweep.exact.tolist(), mode="lines", name="exact",
                        line=dict(color=INK, width=2, dash="dash"), **at)  # fmt: skip
        fig.add_scatter(x=x, y=mean.tolist(), mode="lines", name=name,
                        line=dict(color=COLOURS[k], width=2.5), **at)  # fmt: skip
    fig.update_yaxes(matches="y", showticklabels=False)
    fig.update_yaxes(title=dict(text="slope of the loss"), showticklabels=True, col=1)
    fig.update_xaxes(range=[0, 1], tickvals=[0, 0.5, 1])
    fig.add_annotation(text="probability of expert 1 (dashed: the exact slope)",
                       showarrow=False, xref="paper", yref="paper", x=0.5, y=-0.16,
                       yanchor="top")  # fmt: skip
    fig.update_layout(margin=dict(t=70, b=70))
    return fig


def bias_noise_figure(errors: GateErrors) -> go.Figure:
    """Bias against noise of each estimator, one mark per random problem."""
    fig = figure(
        alt="Bias against noise of four estimators, relative to the length of the"
        " exact gradient, one mark per problem. Both REINFORCE clouds lie at bias 0,"
        " the one with a baseline further left; straight-through and soft gate lie at"
        " the same height above 0, the soft gate at noise 0.",
        title="What does each estimate pay, noise or bias?",
        x="noise: standard deviation of one estimate / length of the exact gradient",
        y="bias / length of the exact gradient",
        height=360,
    )
    for k, name in enumerate(errors.bias):
        fig.add_scatter(
            x=errors.noise[name].tolist(), y=errors.bias[name].tolist(),
            mode="markers", name=name,
            marker=dict(size=10, symbol=SYMBOLS[k], color=COLOURS[k], opacity=0.85),
        )  # fmt: skip
    fig.update_xaxes(
        range=[-0.06, 1.08 * max(float(n.max()) for n in errors.noise.values())]
    )
    fig.update_traces(cliponaxis=False)
    fig.update_yaxes(rangemode="tozero")
    return fig


def hard_gate_figure(losses: Mapping[str, Tensor], *, every: int = 20) -> go.Figure:
    """Test loss of the gate's favourite along training, mean over the seeds."""
    fig = figure(
        alt="Loss on test data against training step for four ways to train the gate,"
        " mean over seeds: all fall from about 1 to a few hundredths.",
        title="The gate decides alone: what has each training taught it?",
        x="training step",
        y="squared error of the favourite, log scale",
        height=360,
    )
    for k, (name, runs) in enumerate(losses.items()):
        steps = [every * i for i in range(len(runs))]
        line = dict(color=COLOURS[k], width=2.2, dash=DASHES[k])
        mean = runs.mean(dim=1).tolist()
        fig.add_scatter(x=steps, y=mean, mode="lines", name=name, line=line)
    fig.update_yaxes(type="log", tickvals=[0.03, 0.1, 0.3, 1],
                     ticktext=["0.03", "0.1", "0.3", "1"])  # fmt: skip
    return fig


def _log_spaced(length: int, per_decade: int = 40) -> list[int]:
    """Passes 1.. that look evenly spread on a log axis: small notebooks."""
    picks = {round(10 ** (k / per_decade)) for k in range(4 * per_decade)}
    return sorted(p for p in picks if p < length)


def _faint(colour: str) -> str:
    r, g, b = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({r},{g},{b},0.22)"
