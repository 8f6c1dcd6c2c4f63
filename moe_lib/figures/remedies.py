"""Smaller rows for some arithmetic: on which networks is that a good bargain?"""

from __future__ import annotations

import math
from collections.abc import Mapping

import plotly.graph_objects as go

from moe_lib.checks import require_positive
from moe_lib.figures.palette import colour
from moe_lib.figures.style import figure, look_of

#: Name -> bytes a second.
LINKS = {"1 Gbit/s": 0.125e9, "10 Gbit/s": 1.25e9, "100 Gbit/s": 12.5e9}
SPEEDS = [10 ** (7.5 + i / 16) for i in range(49)]  # bytes a second, to 31 GB/s
LOOK = ((4, "solid"), (1, "dash"), (6, "dot"))  # colour and dash of each payload


def payload_bargain(
    payloads: Mapping[str, tuple[float, float]],
    *,
    theme: str = "both",
    title: str = "On which network do smaller rows pay?",
) -> go.Figure:
    """Time of a rank's exchanges in a step over the speed of its link, by arithmetic.

    Bytes / speed + seconds of conversion; a ring marks where a payload stops paying.

    Args:
        payloads: one to three, name -> (bytes that a rank sends in a step, seconds that
            it spends on conversion); the first is what the others are compared with.

    Raises:
        ValueError: none, or more than three; one that sends no bytes.
    """
    if not 1 <= len(payloads) <= len(LOOK):
        raise ValueError(f"payloads has {len(payloads)} names: give one to {len(LOOK)}")
    for name, (sent, _) in payloads.items():
        require_positive(f"bytes of {name!r}", sent)
    most, of_plain = next(iter(payloads.values()))
    ends = {
        name: (most - sent) / (seconds - of_plain)
        for name, (sent, seconds) in payloads.items()
        if sent < most and seconds > of_plain
    }
    told = [f"{name}: pays below {end / 1e9:.2g} GB/s" for name, end in ends.items()]
    fig = figure(
        alt="Milliseconds of a rank's exchanges in a step against the speed of its"
        f" link, both logarithmic, for {', '.join(payloads)}."
        + "".join(f" {words}." for words in told),
        title=f"<b>{title}</b>",
        x="<br>".join(["speed of a rank's link (GB/s), log scale", *told]),
        y="exchanges (ms), log scale",
        height=420,
        theme=theme,
        margin=dict(t=84, b=84),
    )

    def milliseconds(name: str, speed: float) -> float:
        sent, seconds = payloads[name]
        return 1e3 * (sent / speed + seconds)

    look = look_of(theme)
    every = [milliseconds(name, speed) for name in payloads for speed in SPEEDS]
    low, high = math.log10(min(every)) - 0.1, math.log10(max(every)) + 0.1
    fig.add_scatter(
        x=[x for speed in LINKS.values() for x in (speed / 1e9, speed / 1e9, None)],
        y=[10**low, 10**high, None] * len(LINKS), mode="lines", hoverinfo="skip",
        line=dict(color=look.muted, width=1, dash="dot"), showlegend=False,
    )  # fmt: skip
    fig.add_scatter(
        x=[speed / 1e9 for speed in LINKS.values()], y=[10**high] * len(LINKS),
        mode="text", text=[f"{name}\u00a0" for name in LINKS],
        textposition="bottom left", textfont_size=11, hoverinfo="skip",
        showlegend=False,
    )  # fmt: skip
    for name, (number, dash) in zip(payloads, LOOK, strict=False):
        fig.add_scatter(
            x=[speed / 1e9 for speed in SPEEDS],
            y=[milliseconds(name, speed) for speed in SPEEDS],
            name=name, mode="lines",
            line=dict(color=colour(number, theme), width=2.5, dash=dash),
            hovertemplate=f"{name}: %{{y:.3g}} ms at %{{x:.3g}} GB/s<extra></extra>",
        )  # fmt: skip
    fig.add_scatter(
        x=[end / 1e9 for end in ends.values()],
        y=[milliseconds(name, end) for name, end in ends.items()],
        mode="markers", hoverinfo="skip", showlegend=False,
        marker=dict(symbol="circle-open", size=13, color=look.ink, line_width=2),
    )  # fmt: skip
    ends_of_axis = [math.log10(speed / 1e9) for speed in (SPEEDS[0], SPEEDS[-1])]
    fig.update_xaxes(
        type="log", range=ends_of_axis, tickvals=[0.03, 0.1, 0.3, 1, 3, 10, 30]
    )
    ticks = [m * 10**p for p in range(-3, 5) for m in (1, 3)]
    fig.update_yaxes(type="log", range=[low, high], tickvals=ticks)
    return fig
