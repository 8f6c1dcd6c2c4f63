"""Which languages share experts: a heat map for each of two seeds, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import torch

from moe_lib.course.language_sharing import SCRIPTS, Sharing
from moe_lib.figures.palette import colour
from moe_lib.figures.panels import grid_of_panels
from moe_lib.figures.style import figure
from moe_lib.figures.who_follows_what import heat
from moe_lib.notation import letter

ROW = 26  # px


def language_sharing(
    runs: Sequence[Sharing],
    names: Sequence[str] = ("seed 0", "seed 1"),
    *,
    theme: str = "both",
    title: str = "Which languages share experts?",
) -> go.Figure:
    """A row for each language: per cent of its names that prefer each expert.

    Languages in Latin script stand above. Letters mean nothing across seeds, so the
    experts of each seed stand in one order: those that Latin script prefers first.

    Args:
        runs: one or a few, of the same languages. names: of the runs.

    Raises:
        ValueError: no runs, or not a name for each.
    """
    if not runs or len(runs) != len(names):
        raise ValueError(f"{len(runs)} runs with {len(names)} names: give one for each")
    languages = sorted(runs[0].languages, key=lambda code: code in SCRIPTS)
    fig = figure(
        alt=_alt(runs, names), title=title, height=ROW * len(languages) + 150,
        theme=theme, showlegend=False, margin=dict(t=96, l=44, b=40, r=10),
    )  # fmt: skip
    heads = [
        f"{name}: {run.bits:.2f} bits" for name, run in zip(names, runs, strict=True)
    ]
    grid_of_panels(fig, 1, heads, horizontal_spacing=0.04)
    for col, run in enumerate(runs, 1):
        order = latin_first(run)
        rows = [run.languages.index(code) for code in languages]
        places = [f"{e}" for e in order]
        heat(fig, run.shares[rows][:, order], places, languages, col)
        for k, e in enumerate(order):  # a tick has no colour of its own
            fig.add_annotation(
                x=k, y=0, xref="x" if col == 1 else f"x{col}", yref="paper",
                yanchor="top", text=f"<b>{letter(e)}</b>", showarrow=False,
                font_color=colour(e, theme),
            )  # fmt: skip
        fig.update_xaxes(type="category", showticklabels=False, col=col)
    fig.update_yaxes(autorange="reversed", showgrid=False, ticks="", showline=False)
    fig.update_yaxes(showticklabels=False)
    fig.update_yaxes(showticklabels=True, col=1)
    fig.update_xaxes(showgrid=False, ticks="", showline=False)
    return fig


def latin_first(run: Sharing) -> list[int]:
    """The experts, those first that Latin script prefers more than others do."""
    latin = torch.tensor([code not in SCRIPTS for code in run.languages])
    lean = run.shares[latin].sum(dim=0) - run.shares[~latin].sum(dim=0)
    return lean.argsort(descending=True, stable=True).tolist()


def _alt(runs: Sequence[Sharing], names: Sequence[str]) -> str:
    told = []
    for name, run in zip(names, runs, strict=True):
        nearest = ", ".join(f"{a} {b}" for a, b in run.nearest.items())
        told.append(
            f"{name}: {run.bits:.2f} bits of mutual information of expert and language"
            f" (chance {run.chance:.2f}); nearest to each other: {nearest}"
        )
    return (
        "Heat maps of languages by experts, the share of each language's names that"
        f" prefer an expert. {'; '.join(told)}."
    )
