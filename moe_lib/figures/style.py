"""The one look of all plotly figures: neutral colours, template, alt text.

An expert keeps its colour and its letter through the whole course; colour is never
alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go

from moe_lib.checks import require_choice
from moe_lib.figures.palette import PAPER, THEMES


@dataclass(frozen=True)
class Look:
    """The colours of a theme that belong to no expert.

    ink: text. muted: lines, ticks. grid: lines behind the data. paper: the page.
    """

    ink: str
    muted: str
    grid: str
    paper: str


#: "both" is transparent and readable on white and on near-black alike.
LOOKS = {
    "light": Look("#2b2f36", "#7b818a", "rgba(60,64,72,0.14)", PAPER["light"]),
    "dark": Look("#d9dce3", "#8b919c", "rgba(200,205,215,0.16)", PAPER["dark"]),
    "both": Look("#757a82", "#9aa0a8", "rgba(128,128,128,0.22)", "rgba(0,0,0,0)"),
}
INK, MUTED, GRID = LOOKS["both"].ink, LOOKS["both"].muted, LOOKS["both"].grid


def figure(
    *traces: go.Scatter,
    alt: str,
    x: str = "",
    y: str = "",
    title: str = "",
    height: int = 360,
    theme: str = "both",
    **layout: object,
) -> go.Figure:
    """A figure in the house style.

    Args:
        alt: what the picture shows, for those who do not see it; kept in
            ``layout.meta["alt"]``, from where the book and the stills take it.
        x, y: axis titles. title: the question that the figure answers.
        theme: "light", "dark", or "both" for a transparent figure that serves both.
        layout: anything else for ``update_layout``.

    Raises:
        ValueError: the alt text is missing; an unknown theme.
    """
    if not alt.strip():
        raise ValueError("alt is empty: say in a sentence what the figure shows")
    look = look_of(theme)
    axis = dict(gridcolor=look.grid, zeroline=False, linecolor=look.muted,
                ticks="outside", tickcolor=look.muted)  # fmt: skip
    house = dict(
        title=dict(text=title, font=dict(size=15), x=0, xref="paper", y=0.97,
                   yref="container", yanchor="top"),
        font=dict(color=look.ink, size=13),
        paper_bgcolor=look.paper,
        plot_bgcolor="rgba(0,0,0,0)",
        margin=dict(l=60, r=20, t=76 if title else 40, b=44),
        height=height,
        legend=dict(orientation="h", y=1.02, yanchor="bottom", x=0, xanchor="left"),
        colorway=THEMES[theme],
        meta=dict(alt=alt),
        xaxis=dict(title=dict(text=x, font=dict(size=13)), **axis),
        yaxis=dict(title=dict(text=y, font=dict(size=13)), **axis),
    )  # fmt: skip
    fig = go.Figure(list(traces), house)
    return fig.update_layout(**layout) if layout else fig


def look_of(theme: str) -> Look:
    """The neutral colours of a theme.

    Raises:
        ValueError: an unknown theme.
    """
    return LOOKS[require_choice("theme", theme, LOOKS)]
