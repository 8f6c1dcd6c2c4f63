"""Expert choice with a cap: who is served by how many, and how soon the cap holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import torch
from torch import Tensor

from moe_lib.course.capped_programme import (
    WEIGHT,
    Solver,
    by_library,
    by_rounds,
    experts_per_token,
)
from moe_lib.figures.movie import add_frames
from moe_lib.figures.palette import colour
from moe_lib.figures.panels import DASHES, SYMBOLS, grid_of_panels
from moe_lib.figures.style import figure, look_of

ROUNDS = (1, 2, 5, 10, 20, 50, 100)
LEAST = 1e-4  # of a logarithmic axis: smaller errors stand here


def capped_choice(
    scores: Tensor,
    slots: int,
    caps: Sequence[int],
    solver: Solver = by_library,
    *,
    theme: str = "both",
    title: str = "Who loses experts, and who gains?",
) -> go.Figure:
    """Above, tokens by their number of experts without and with a cap; below, by how
    much the worst expert and the worst token break the constraints, by round.

    Args:
        scores: S^T, ``[E, T]`` float64. slots: of each expert.
        caps: a frame each; the figure opens at the last.
        solver: of the capped programme.

    Raises:
        ValueError: no caps; a cap that leaves too little room; an unknown theme.
    """
    if not caps:
        raise ValueError("caps is empty: give at least one cap")
    before = experts_per_token(scores, slots)
    plans = {cap: solver(scores, slots, cap, WEIGHT, ROUNDS[-1]) for cap in caps}
    after = {cap: experts_per_token(plan, slots) for cap, plan in plans.items()}
    errors = {cap: by_rounds(solver, scores, slots, cap, rounds=ROUNDS) for cap in caps}
    most = max(int(x.max()) for x in (before, *after.values()))
    fig = figure(
        alt=_alt(before, after),
        title=title,
        height=600,
        theme=theme,
        barmode="group",
        legend=dict(y=1.01, entrywidth=100),
        margin=dict(t=110, b=120),
    )
    grid_of_panels(fig, 2, [""] * 2, vertical_spacing=0.2, row_heights=[0.5, 0.5])
    look, blue = look_of(theme), colour(4, theme)
    numbers = list(range(most + 1))
    fig.add_bar(
        x=numbers, y=_counts(before, most), name="no cap",
        marker=dict(color=look.grid,
                    line=dict(color=look.muted, width=1.5)),
        hovertemplate="%{x} experts, no cap: %{y} tokens<extra></extra>",
        row=1, col=1,
    )  # fmt: skip
    fig.add_bar(
        x=numbers, name="with the cap", marker_color=blue, row=1, col=1,
        hovertemplate="%{x} experts, capped: %{y} tokens<extra></extra>",
    )  # fmt: skip
    for k, (name, unit) in enumerate((("expert", "slots"), ("token", "experts"))):
        fig.add_scatter(
            x=ROUNDS, mode="lines+markers", name=f"worst {name}",
            line=dict(color=colour((1, 7)[k], theme), width=2, dash=DASHES[k]),
            marker=dict(symbol=SYMBOLS[k], size=8),
            hovertemplate=f"%{{x}} rounds: off by %{{y:.1e}} {unit}<extra></extra>",
            row=2, col=1,
        )  # fmt: skip
    states = []
    for cap in caps:
        parts = [
            [getattr(errors[cap][n], part) for n in ROUNDS]
            for part in ("row", "column")
        ]
        lines = [dict(type="scatter", y=[max(v, LEAST) for v in p]) for p in parts]
        states.append([dict(type="bar", y=_counts(after[cap], most)), *lines])
    names = [str(cap) for cap in caps]
    add_frames(fig, states, range(1, len(fig.data)), names, theme=theme,
               prefix="cap b = ")  # fmt: skip
    every = torch.stack([before, *after.values()])
    tallest = max(max(_counts(row, most)) for row in every)
    fig.update_xaxes(title_text="experts that serve a token", dtick=1, row=1, col=1)
    fig.update_yaxes(title_text="tokens", range=[0, 1.08 * tallest], row=1, col=1)
    fig.update_xaxes(title_text="rounds, log scale", type="log", tickvals=ROUNDS,
                     ticktext=[str(n) for n in ROUNDS], row=2, col=1)  # fmt: skip
    powers = list(range(-4, 3))
    fig.update_yaxes(
        title_text="worst one off by", type="log", range=[-4.3, 2.3], row=2, col=1,
        tickvals=[10.0**p for p in powers],
        ticktext=["≤ 0.0001", "0.001", "0.01", "0.1", "1", "10", "100"],
    )  # fmt: skip
    fig.layout.sliders[0].update(pad_t=50)
    fig.layout.updatemenus[0].update(pad_t=64)
    return fig


def _counts(experts: Tensor, most: int) -> list[int]:
    """Tokens with 0, 1, ... ``most`` experts."""
    return torch.bincount(experts, minlength=most + 1).tolist()


def _alt(before: Tensor, after: Mapping[int, Tensor]) -> str:
    """What the histograms say, in numbers."""
    said = "; ".join(
        f"capped at {cap}, {int((x < before).sum())} tokens lose experts,"
        f" {int((x > before).sum())} gain, none has more than {int(x.max())} and"
        f" {int((x == 0).sum())} have none"
        for cap, x in after.items()
    )
    return (
        f"Two panels. Above, of {len(before)} tokens, how many have how many experts:"
        f" without a cap up to {int(before.max())}, and {int((before == 0).sum())} have"
        f" none; {said}. Below, on logarithmic axes, by how many slots the worst expert"
        " and by how many experts the worst token break the constraints, by round."
    )
