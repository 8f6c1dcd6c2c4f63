"""Scenes: what a `Player` shows, as plain data that can be stored as JSON.

::

    {"title": "When do two experts beat one net?",   # the question
     "alt": "...", "caption": "...",                 # what it shows, what to look at
     "slider": {"label": "epoch", "values": ["0", "10"]},      # one text per state
     "start": 0, "play": True, "interval_ms": 120,             # optional
     "variants": {"label": "loss", "names": ["1.1", "1.2"],    # optional
                  "slider": True},          # a second slider, not radio buttons
     "panels": [{"title": "...", "weight": 2, "layers": [...],
                 "x": {"label": "F1 (Hz)", "range": [200, 1200]},
                 "y": {"label": "F2 (Hz)", "range": [500, 2500]}}],
     "legend": [{"shape": "disc", "color": 0, "text": "..."}],  # or "line": "dash"
     "states": [[{"panels": [[...], ...], "caption": "...",     # states[variant][i]
                  "readout": [["experts alive", "2"]],
                  "handle": {"panel": 0, "x": 0.8, "y": 0.3}}]]}

A layer is one of `scene_layers.LAYERS`, with "front": True to stand above the moving
ones; in a state a number k stands for all layers of the scene's list "shared"[k].
Colours are an expert's number (0 is A) or one of `scene_layers.INKS`. An axis may name
its ticks: "ticks": [0, 1] or [[0, "none"], [1, "all"]]. The cells of "regions" go row
by row from the first "y", each from the first "x": in "owner" a digit, or a letter a-p
from 10 on, is an expert's number and "." nobody; "strength" has a digit 0-9 per cell.
A run may be written "0{25}".
"""

from __future__ import annotations

from typing import Any

from moe_lib.widgets.scene_layers import (
    SHAPES,
    check_colour,
    check_layers,
    check_range,
    finite,
    need,
    one_of,
)

PARTS = {"title": str, "slider": dict, "panels": list, "states": list}


def check(scene: Any) -> dict[str, Any]:
    """The scene itself, if the view can show it; otherwise a one-line ValueError."""
    need(isinstance(scene, dict), f"scene is a {type(scene).__name__}; give a dict")
    for key, kind in PARTS.items():
        remedy = f"add it, a {kind.__name__} (see moe_lib.widgets.scene)"
        need(isinstance(scene.get(key), kind), f"scene has no {key!r}; {remedy}")
    values = scene["slider"].get("values") or []
    need(bool(values), "slider.values is empty; give one text per state")
    for i, panel in enumerate(scene["panels"]):
        for axis in ("x", "y"):
            check_range(panel.get(axis, {}).get("range"), f"panels[{i}].{axis}.range")
        check_layers(panel.get("layers", []), f"panels[{i}].layers")
    for i, layers in enumerate(scene.get("shared", [])):
        check_layers(layers, f"shared[{i}]")
    for i, item in enumerate(scene.get("legend", [])):
        check_colour(item.get("color", "ink"), f"legend[{i}].color")
        shapes = (*SHAPES, "badge", None)
        one_of(item.get("shape"), shapes, f"legend[{i}].shape")
    names = scene.get("variants", {}).get("names", [""])
    states = scene["states"]
    for v, row in enumerate(states):
        remedy = "states[variant][i]: put the states of a variant into a list"
        need(isinstance(row, list), f"states[{v}] is no list; {remedy}")
    need(
        len(names) == len(states),
        f"states has {len(states)} lists for {len(names)} variants; "
        "give one list of states per name in variants.names",
    )
    for v, row in enumerate(states):
        need(
            len(row) == len(values),
            f"states[{v}] has {len(row)} states, slider.values {len(values)} texts; "
            "give one text per state",
        )
        for i, state in enumerate(row):
            _check_state(state, scene, f"states[{v}][{i}]")
    start = scene.get("start", 0)
    need(
        isinstance(start, int) and 0 <= start < len(values),
        f"start is {start!r}; give a state's index, 0 to {len(values) - 1}",
    )
    return scene


def _check_state(state: Any, scene: dict[str, Any], where: str) -> None:
    layers, panels = state.get("panels", []), len(scene["panels"])
    need(
        len(layers) == panels,
        f"{where}.panels has {len(layers)} lists for {panels} panels; "
        "give one list of layers per panel",
    )
    for p, panel in enumerate(layers):
        check_layers(panel, f"{where}.panels[{p}]", len(scene.get("shared", [])))
    if handle := state.get("handle"):
        good = handle.get("panel") in range(panels)
        good = good and finite(handle.get("x")) and finite(handle.get("y"))
        need(good, f"{where}.handle is {handle!r}; give panel, x and y")
