"""Play, pause and a slider for a plotly figure with frames: no kernel needed."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from moe_lib.figures.style import LOOKS

MS = 150  # of a frame


def add_frames(
    fig: go.Figure,
    states: Sequence[Sequence[dict]],
    traces: Sequence[int],
    names: Sequence[str],
    *,
    theme: str = "both",
    prefix: str = "",
    suffix: str = "",
) -> None:
    """Give ``fig`` a frame for each state, and the controls; it opens at the last.

    The end tells most, and play starts over from there.

    Args:
        states: for each frame what changes in each of ``traces``, as far as it does.
        traces: the places of these traces in the figure.
        names: of the frames, all different; the slider shows them between ``prefix``
            and ``suffix``.
    """
    for place, last in zip(traces, states[-1], strict=True):
        fig.data[place].update(last)
    fig.frames = [
        dict(name=name, data=list(state), traces=list(traces))
        for name, state in zip(names, states, strict=True)
    ]
    look = LOOKS[theme]
    buttons = [("\u25b6", None, MS), ("\u275a\u275a", [None], 0)]
    play = dict(
        type="buttons", direction="left", showactive=False, bordercolor=look.grid,
        bgcolor="rgba(0,0,0,0)", x=0, xanchor="left", y=0, yanchor="top",
        pad=dict(t=44, l=-40),
        buttons=[dict(label=label, method="animate", args=_show(frames, ms))
                 for label, frames, ms in buttons],
    )  # fmt: skip
    slider = dict(
        active=len(names) - 1, x=0.2, len=0.8, y=0, pad=dict(t=30),
        currentvalue=dict(prefix=prefix, suffix=suffix, xanchor="left", offset=6),
        bgcolor=look.grid, bordercolor=look.grid, activebgcolor=look.muted,
        tickcolor=look.muted, ticklen=4, minorticklen=2,
        steps=[dict(label=name, method="animate", args=_show([name], 0))
               for name in names],
    )  # fmt: skip
    fig.update_layout(updatemenus=[play], sliders=[slider])


def _show(frames: list[str | None] | None, ms: int) -> list:
    """Arguments of plotly.js' animate: ``None`` plays all, ``[None]`` stops."""
    frame, still = dict(duration=ms, redraw=False), dict(duration=0)
    return [
        frames,
        dict(mode="immediate", fromcurrent=True, frame=frame, transition=still),
    ]
