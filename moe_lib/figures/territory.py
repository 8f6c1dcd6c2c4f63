"""Which expert rules where, for a router of two inputs."""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go
import torch
from torch import Tensor, nn

from moe_lib.checks import require_finite, require_matrix
from moe_lib.figures.palette import PAPER, colour, ink_on
from moe_lib.figures.regions import edges, inmost
from moe_lib.figures.style import LOOKS, figure
from moe_lib.figures.tints import expert_scale
from moe_lib.figures.words import counted, plain, sample
from moe_lib.notation import letter
from moe_lib.routing import Routing
from moe_lib.running import evaluating

CELLS = 96  # cells each way; their number, 9,216, is a multiple of most group sizes
MOST_POINTS = 500

Limits = tuple[float, float]


def territory(
    router: Callable[[Tensor], Routing | Tensor],
    points: Tensor | None = None,
    *,
    xlim: Limits | None = None,
    ylim: Limits | None = None,
    x: str = "first input",
    y: str = "second input",
    second: bool = False,
    theme: str = "both",
    title: str = "Which expert rules where?",
) -> go.Figure:
    """The ground tinted with the favourite of the router, deeper where it is surer.

    Args:
        router: a `Router` with ``d_model=2`` (asked in eval mode, and left as it was),
            or any callable from ``[N, 2]`` to a `Routing` or to probabilities
            ``[N, E]``.
        points: ``[N, 2]``, marked on the ground; of more than 500 every few.
        xlim, ylim: what is shown; None: the points and a margin.
        x, y: what the inputs are called.
        second: thin lines where an expert enters or leaves the best two.

    Raises:
        ValueError: a router of other than two inputs, an answer that is not ``[N, E]``
            finite; limits that are missing or do not rise.
    """
    if getattr(router, "d_model", 2) != 2:
        raise ValueError(
            f"router has d_model={router.d_model}: give one with d_model=2, or a"
            " function of [N, 2] that fills in the rest"
        )
    if points is not None:
        require_finite("points", require_matrix("points", points, 2))
        points = points.detach().cpu().double()
    xlim, ylim = (
        _limits(name, limits, None if points is None else points[:, k])
        for k, (name, limits) in enumerate((("xlim", xlim), ("ylim", ylim)))
    )
    xs, ys = (_centres(*limits) for limits in (xlim, ylim))
    probs = _probabilities(router, torch.cartesian_prod(ys, xs).flip(1).float())
    best, owner = probs.max(dim=0)  # [CELLS, CELLS], the lowest y first
    share = torch.bincount(owner.flatten(), minlength=len(probs)) / owner.numel()
    picked, sampled = sample(
        0 if points is None else len(points), MOST_POINTS, "points"
    )
    notes = [_lost(share), sampled]
    fig = figure(
        alt=_alt(share, best, 0 if points is None else len(points), sampled),
        title=f"<b>{title}</b>",
        x="<br>".join([plain(x), *filter(None, notes)]),
        y=plain(y),
        height=440,
        theme=theme,
        showlegend=False,
        margin=dict(t=48),
    )
    fair = 1 / len(probs)
    sure = ((best - fair) / (1 - fair)).clamp(0, 1) if fair < 1 else best
    fig.add_heatmap(
        x=xs.tolist(), y=ys.tolist(), zmin=0, zmax=len(probs), showscale=False,
        z=[[round(z, 2) for z in row] for row in (owner + 0.99 * sure).tolist()],
        colorscale=expert_scale(len(probs), theme), opacity=0.7, hoverinfo="skip",
    )  # fmt: skip
    for best_of, width in ((2, 0.8), (1, 2.2)) if second else ((1, 2.2),):
        edge_x, edge_y = edges(probs, xs, ys, min(best_of, len(probs)))
        fig.add_scatter(x=edge_x, y=edge_y, mode="lines", hoverinfo="skip",
                        line=dict(color=LOOKS[theme].ink, width=width))  # fmt: skip
    fig.add_heatmap(  # only to hover over
        x=xs[1::3].tolist(), y=ys[1::3].tolist(), showscale=False, opacity=0,
        z=[[round(p, 3) for p in row] for row in best[1::3, 1::3].tolist()],
        text=[[letter(e) for e in row] for row in owner[1::3, 1::3].tolist()],
        hovertemplate="%{text}: %{z:.0%}<extra></extra>",
    )  # fmt: skip
    if picked:
        fig.add_scatter(
            x=points[picked, 0].tolist(), y=points[picked, 1].tolist(), mode="markers",
            marker=dict(size=5, color=LOOKS[theme].ink, opacity=0.9,
                        line=dict(color=PAPER.get(theme, "#888"), width=0.8)),
            hoverinfo="skip",
        )  # fmt: skip
    _name_regions(fig, owner, xs, ys, theme)
    fig.update_xaxes(range=list(xlim), showgrid=False)
    fig.update_yaxes(range=list(ylim), showgrid=False)
    return fig


def _name_regions(
    fig: go.Figure, owner: Tensor, xs: Tensor, ys: Tensor, theme: str
) -> None:
    """The letter of each expert, on its colour, where its ground is widest."""
    experts, rows, columns = inmost(owner)
    colours = [colour(e, theme) for e in experts]
    fig.add_scatter(
        x=xs[columns].tolist(), y=ys[rows].tolist(), mode="markers+text",
        text=[f"<b>{letter(e)}</b>" for e in experts], hoverinfo="skip",
        textfont=dict(color=[ink_on(ground) for ground in colours], size=13),
        marker=dict(symbol="square", size=22, color=colours, opacity=1,
                    line=dict(color=PAPER.get(theme, "#888"), width=1)),
    )  # fmt: skip


def _limits(name: str, limits: Limits | None, values: Tensor | None) -> Limits:
    if limits is None:
        if values is None or not len(values):
            raise ValueError(f"{name}=None without points: give (low, high), or points")
        low, high = float(values.min()), float(values.max())
        margin = 0.06 * (high - low) or 1.0
        return low - margin, high + margin
    low, high = (float(value) for value in limits)
    if not -float("inf") < low < high < float("inf"):
        raise ValueError(f"{name}={limits}: give two finite numbers, the lower first")
    return low, high


def _centres(low: float, high: float) -> Tensor:
    """``[CELLS]``, the middles of as many equal parts."""
    return torch.linspace(low, high, 2 * CELLS + 1, dtype=torch.float64)[1::2]


def _probabilities(router: Callable, grid: Tensor) -> Tensor:
    """``[E, CELLS, CELLS]`` float64, asked without noise and without a trace."""
    quiet = evaluating(router) if isinstance(router, nn.Module) else torch.no_grad()
    with quiet:
        answer = router(grid)
    probs = answer.router_probs if isinstance(answer, Routing) else answer
    if not isinstance(probs, Tensor) or probs.ndim != 2 or len(probs) != len(grid):
        shape = list(probs.shape) if isinstance(probs, Tensor) else type(probs).__name__
        raise ValueError(
            f"router answered {shape} for {len(grid)} points: let it return a Routing"
            " or probabilities [N, E]"
        )
    if not probs.isfinite().all():
        raise ValueError("router answered NaN or infinity: check its weights")
    return probs.detach().cpu().double().T.reshape(-1, CELLS, CELLS).clone()


def _lost(share: Tensor) -> str:
    lost = [letter(e) for e in range(len(share)) if not share[e]]
    told = ", ".join(lost[:8]) + f" and {len(lost) - 8} more" * (len(lost) > 8)
    return f"ruling nowhere: {told}" if lost else ""


def _alt(share: Tensor, best: Tensor, points: int, sampled: str) -> str:
    order = share.argsort(descending=True, stable=True).tolist()
    rules = [f"{letter(e)} {share[e]:.0%}" for e in order if share[e]]
    told = [
        "Map of two inputs, tinted with the favourite of"
        f" {counted(len(share), 'expert')}",
        f"share of the area: {', '.join(rules)}",
        _lost(share),
        f"the favourite's probability is {best.mean():.2f} on average",
        f"{counted(points, 'point')} on it" if points else "",
        sampled,
    ]
    return "; ".join(filter(None, told)) + "."
