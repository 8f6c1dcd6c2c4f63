"""The one look of all pictures: palette, neutral template, alt text.

An expert keeps its colour and its letter through the whole course; colour is never
alone. A Player has a palette for each theme (``widgets/player.js``); a plotly figure
has one that serves both.
"""

from __future__ import annotations

import plotly.graph_objects as go

LETTERS = "ABCDEFGH"
# Readable on white and on near-black alike: figures have transparent backgrounds.
INK, MUTED, GRID = "#757a82", "#9aa0a8", "rgba(128,128,128,0.22)"
# For traces in a figure that must serve both themes: contrast >= 3 on both.
ON_BOTH = ("#c0504a", "#d9791b", "#8a8f1f", "#23997d",
           "#3f83c7", "#6a5af0", "#b26ef0", "#c8408f")  # fmt: skip


def figure(
    *traces: go.Scatter,
    alt: str,
    x: str = "",
    y: str = "",
    title: str = "",
    height: int = 360,
    **layout: object,
) -> go.Figure:
    """A figure in the house style.

    Args:
        alt: what the picture shows, for those who do not see it; kept in
            ``layout.meta["alt"]``, from where the book and the stills take it.
        x, y: axis titles. title: the question that the figure answers.
        layout: anything else for ``update_layout``.

    Raises:
        ValueError: the alt text is missing.
    """
    if not alt.strip():
        raise ValueError("alt is empty: say in a sentence what the figure shows")
    fig = go.Figure(list(traces))
    axis = dict(gridcolor=GRID, zeroline=False, linecolor=MUTED, ticks="outside",
                tickcolor=MUTED)  # fmt: skip
    fig.update_layout(
        title=dict(
            text=title,
            font=dict(size=15),
            x=0,
            xref="paper",
            y=0.97,
            yref="container",
            yanchor="top",
        ),
        font=dict(color=INK, size=13),
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin=dict(l=60, r=20, t=76 if title else 40, b=44),
        height=height,
        legend=dict(orientation="h", y=1.02, yanchor="bottom", x=0, xanchor="left"),
        colorway=ON_BOTH,
        meta=dict(alt=alt),
    )
    fig.update_xaxes(title=dict(text=x, font=dict(size=13)), **axis)
    fig.update_yaxes(title=dict(text=y, font=dict(size=13)), **axis)
    fig.update_layout(**layout)
    return fig
