"""The cost of routing over the numbers of experts and tokens, as a picture."""

from __future__ import annotations

import plotly.graph_objects as go

from benchmarks.timing import median_and_spread, ratios
from moe_lib.figures import palette, style

SWEPT = ("ours", "bmm", "transformers grouped_mm")
DASHES = ("solid", "dash", "dot")


def figure(results: dict) -> go.Figure:
    """Time over dense against the number of experts: a colour for each candidate, a
    dash for each number of tokens."""
    how = results["how"]
    return style.figure(
        *(
            line(results, label, colour, tokens, dash)
            for label, colour in zip(SWEPT, palette.BOTH[::2], strict=False)
            for tokens, dash in zip(sizes(results), DASHES, strict=False)
        ),
        alt="Time of a step, divided by a dense layer's time, over the number of"
        " experts, for several numbers of tokens: this library, equal groups, and"
        " transformers.",
        x="experts E",
        y="time / dense",
        title=f"What does routing cost? {how['machine']}, torch {how['torch']}",
        height=560,
        margin=dict(l=60, r=250, t=60, b=50),
        legend=dict(orientation="v", x=1.02, y=1, xanchor="left", yanchor="top"),
        yaxis=dict(type="log", tickvals=[1, 1.2, 1.5, 2, 3, 5, 10, 20]),
    )


def swept(results: dict) -> list[tuple[int, int, dict]]:
    """(tokens, experts, seconds of each candidate) of every point that was measured,
    with the first number of threads."""
    points = [
        case
        for case in results["cases"]
        if case["name"].startswith("sweep") and any(case["seconds"].values())
    ]
    return [
        (size["num_tokens"], size["num_experts"], case["seconds"])
        for case in points
        for size in [case["shapes"]["dense"]]
        if case["threads"] == points[0]["threads"]
    ]


def sizes(results: dict) -> list[int]:
    return sorted({tokens for tokens, _, _ in swept(results)})


def line(results: dict, label: str, colour: str, tokens: int, dash: str) -> go.Scatter:
    points = [
        (experts, *median_and_spread(ratios(seconds[label], seconds["dense"])))
        for t, experts, seconds in swept(results)
        if t == tokens and label in seconds
    ]
    experts, middle, low, high = zip(*points, strict=True) if points else ((),) * 4
    return go.Scatter(
        x=[str(e) for e in experts],
        y=middle,
        error_y=dict(
            array=[h - m for h, m in zip(high, middle, strict=True)],
            arrayminus=[m - v for m, v in zip(middle, low, strict=True)],
        ),
        name=f"{label}, T {tokens}",
        line=dict(color=colour, dash=dash),
    )
