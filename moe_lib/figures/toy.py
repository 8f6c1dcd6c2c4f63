"""The draggable toy of chapter 0 as a Player scene."""

from __future__ import annotations

from moe_lib.course.toy import BORDER, NOISE, ToyFits


def toy_scene(fits: ToyFits) -> dict:
    """Data in two regimes, one net, two experts and their gate; drag the right end."""
    states = []
    for i, height in enumerate(fits.heights.tolist()):
        experts = fits.experts[i]
        net, mixture = fits.net_error[i].item(), fits.mixture_error[i].item()
        picture = [
            {"type": "points", "x": fits.x.tolist(), "y": fits.y[i].tolist(),
             "color": "muted", "size": 3},
            *(_line(fits, experts[:, e], e, thin=True) for e in (0, 1)),
            {"type": "line", "x": fits.grid.tolist(), "y": fits.net[i].tolist(),
             "color": "ink", "width": 2.5, "dash": True},
            *(_ruled(fits, i, e) for e in (0, 1)),
        ]  # fmt: skip
        gate = [
            {"type": "band", "x": fits.grid.tolist(), "low": low, "high": high,
             "color": e, "opacity": 0.55}
            for e, low, high in (
                (1, [0.0] * len(fits.grid), fits.gate[i].tolist()),
                (0, fits.gate[i].tolist(), [1.0] * len(fits.grid)),
            )
        ]  # fmt: skip
        states.append(
            {
                "panels": [picture, gate],
                "readout": [
                    ["error of the net", f"{net:.4f}"],
                    ["of the mixture", f"{mixture:.4f}"],
                    ["of the noise alone", f"{NOISE**2:.4f}"],
                ],
                "handle": {"panel": 0, "x": 1.0, "y": height},
            }
        )
    return {
        "title": "When do two experts beat one net?",
        "alt": "Points that follow one straight line up to x = 0.5 and another one"
        " after it; the curve of one small network, the straight lines of two experts,"
        " and the gate's share for each expert along x.",
        "caption": "Drag the ring at the right end, or use the slider: the second"
        " regime moves. Where does the dashed net give up? Where does the gate switch?",
        "slider": {
            "label": "end of the right-hand regime",
            "values": [f"{h:+.2f}" for h in fits.heights.tolist()],
        },
        "start": len(states) // 8,
        "panels": [
            {"title": "One net against two experts", "weight": 3, "layers": [],
             "x": {"label": "x", "range": [0, 1.04]},
             "y": {"label": "y", "range": [-0.95, 1.7]}},
            {"title": "The gate", "weight": 1.4, "layers": [*_gate_marks()],
             "x": {"label": "x", "range": [0, 1]},
             "y": {"label": "share", "range": [0, 1]}},
        ],
        "legend": [
            {"line": "dash", "color": "ink", "text": "one net, 7 weights"},
            {"line": "solid", "color": 0, "text": "expert A"},
            {"line": "solid", "color": 1, "text": "expert B (mixture: 8 weights)"},
            {"line": "dash", "color": "muted", "text": "where the data change"},
        ],
        "states": [states],
    }  # fmt: skip


def _line(fits: ToyFits, y, expert: int, *, thin: bool) -> dict:
    return {
        "type": "line", "x": fits.grid[[0, -1]].tolist(), "y": y[[0, -1]].tolist(),
        "color": expert, "width": 1 if thin else 3,
    }  # fmt: skip


def _ruled(fits: ToyFits, i: int, expert: int) -> dict:
    """The part of an expert's line where the gate gives it more than half."""
    share = fits.gate[i] if expert == 1 else 1 - fits.gate[i]
    rows = (share > 0.5).nonzero().flatten()
    ends = [0, -1] if expert == 0 else [-1, 0]  # both badges near the border
    x = fits.grid[rows][ends].tolist() if len(rows) else []
    y = fits.experts[i, rows, expert][ends].tolist() if len(rows) else []
    return {
        "type": "line", "x": x, "y": y, "color": expert, "width": 4,
        "label": "AB"[expert] if x else "",
    }  # fmt: skip


def _gate_marks() -> list[dict]:
    """The true border, and whose side is whose."""
    line = {"type": "line", "x": [BORDER, BORDER], "y": [0, 1], "color": "muted",
            "dash": True, "width": 1.5, "front": True}  # fmt: skip
    names = [
        {"type": "text", "x": x, "y": 0.5, "text": name, "color": "ink",
         "anchor": "middle", "front": True}
        for x, name in ((0.2, "A"), (0.8, "B"))
    ]  # fmt: skip
    return [line, *names]
