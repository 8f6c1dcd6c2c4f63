"""What hides the gain of experts: the same two models in several settings."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
from torch import Tensor

from moe_lib.course.columns import Columns
from moe_lib.figures.panels import COLOURS, SYMBOLS, grid_of_panels
from moe_lib.figures.style import MUTED, figure

ARMS = ("dense", "switch")


def hidden_gain(
    columns: Columns,
    labels: Mapping[str, str] | None = None,
    *,
    theme: str = "both",
    title: str = "What hides the gain?",
) -> go.Figure:
    """A row for each setting: both models' bits per byte, and the gap of each seed.

    Args:
        columns: "SETTING, dense: bits" and "SETTING, switch: bits", ``[S]`` each.
        labels: setting -> how it is called in the picture.

    Raises:
        ValueError: no setting has a dense model.
    """
    split = (name.partition(", dense: bits") for name in dict(columns))
    settings = [name for name, found, _ in split if found]
    if not settings:
        raise ValueError("no column 'SETTING, dense: bits': give one for each setting")
    bits = {arm: [columns[f"{name}, {arm}: bits"] for name in settings] for arm in ARMS}
    gaps = [d - s for d, s in zip(*bits.values(), strict=True)]
    height = 200 + 70 * len(settings)
    fig = figure(alt=_alt(settings, bits, gaps), title=title, height=height,
                 theme=theme, margin=dict(t=120, l=90, b=56))  # fmt: skip
    grid_of_panels(fig, 1, ["bits per byte", "bits that experts save"],
                   horizontal_spacing=0.1)  # fmt: skip
    for k, arm in enumerate(ARMS):
        _dots(fig, bits[arm], COLOURS[k], SYMBOLS[k], arm, 1, 0.3 * k - 0.15)
    _dots(fig, gaps, COLOURS[2], SYMBOLS[2], "saved", 2, 0)
    fig.add_vline(x=0, line=dict(color=MUTED, width=1.5), row=1, col=2)
    names = [(labels or {}).get(name, name) for name in settings]
    fig.update_yaxes(range=[len(settings) - 0.5, -0.5], showticklabels=False,
                     tickvals=list(range(len(settings))), ticktext=names)  # fmt: skip
    fig.update_yaxes(showticklabels=True, col=1)
    fig.update_xaxes(nticks=4)
    return fig.update_layout(legend_y=1.13)


def _dots(
    fig: go.Figure, rows: list[Tensor], colour: str, symbol: str, name: str, col: int,
    shift: float,
) -> None:  # fmt: skip
    """The seeds of each row ``[S]``, and a bar at their mean."""
    at = dict(mode="markers", row=1, col=col)
    fig.add_scatter(
        x=[value for row in rows for value in row.tolist()],
        y=[k + shift for k, row in enumerate(rows) for _ in row.tolist()],
        name=name, marker=dict(color=colour, symbol=symbol, size=9),
        showlegend=col == 1,
        hovertemplate=f"{name}: %{{x:.3f}}<extra></extra>", **at,
    )  # fmt: skip
    fig.add_scatter(
        x=[row.mean().item() for row in rows],
        y=[k + shift for k in range(len(rows))],
        marker=dict(symbol="line-ns", size=16, line=dict(width=2, color=colour)),
        showlegend=False, hoverinfo="skip", **at,
    )  # fmt: skip


def _alt(settings: list[str], bits: Mapping[str, list], gaps: list[Tensor]) -> str:
    told = "; ".join(
        f"{name} {d.mean():.3f} and {s.mean():.3f}, {gap.mean():+.3f} saved"
        for name, d, s, gap in zip(settings, *bits.values(), gaps, strict=True)
    )
    return f"Bits per byte of dense and switch in {len(settings)} settings: {told}."
