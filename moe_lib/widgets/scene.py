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

A layer is one of `LAYERS`, with "front": True to stand above the moving ones.
Colours are an expert's number (0 is A) or one of `INKS`. An axis may name its ticks:
"ticks": [0, 1] or [[0, "none"], [1, "all"]]. The cells of "regions" go row by row from
the first "y", each from the first "x": in "owner" a digit, or a letter a-p from 10 on,
is an expert's number and "." nobody; "strength" has a digit 0-9 per cell. A run may be
written "0{25}".
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from moe_lib.widgets.compact import unpack

#: Layer type -> (lists of equal length, other keys it knows).
LAYERS: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {
    "line": (("x", "y"), frozenset({"color", "width", "dash", "label", "clip"})),
    "band": (("x", "low", "high"), frozenset({"color", "opacity"})),
    "points": (
        ("x", "y"),
        frozenset({"color", "shape", "size", "hollow", "opacity"}),
    ),
    "bars": (("x", "value"), frozenset({"color", "label"})),
    "text": ((), frozenset({"x", "y", "text", "color", "anchor"})),
    "regions": (
        (),
        frozenset({"x", "y", "nx", "ny", "owner", "strength", "letters"}),
    ),
}
PARTS = {"title": str, "slider": dict, "panels": list, "states": list}
INKS = ("ink", "muted", "accent")
SHAPES = ("disc", "diamond", "square", "triangle")
#: Experts have the letters A to Z; the eight colours repeat.
EXPERTS = 26
OWNERS = "0123456789abcdefghijklmnop."


def check(scene: Any) -> dict[str, Any]:
    """The scene itself, if the view can show it; otherwise a one-line ValueError."""
    _need(isinstance(scene, dict), f"scene is a {type(scene).__name__}; give a dict")
    for key, kind in PARTS.items():
        remedy = f"add it, a {kind.__name__} (see moe_lib.widgets.scene)"
        _need(isinstance(scene.get(key), kind), f"scene has no {key!r}; {remedy}")
    values = scene["slider"].get("values") or []
    _need(bool(values), "slider.values is empty; give one text per state")
    for i, panel in enumerate(scene["panels"]):
        for axis in ("x", "y"):
            _check_range(panel.get(axis, {}).get("range"), f"panels[{i}].{axis}.range")
        for j, layer in enumerate(panel.get("layers", [])):
            _check_layer(layer, f"panels[{i}].layers[{j}]")
    for i, item in enumerate(scene.get("legend", [])):
        _check_colour(item.get("color", "ink"), f"legend[{i}].color")
        shapes = (*SHAPES, "badge", None)
        _one_of(item.get("shape"), shapes, f"legend[{i}].shape")
    names = scene.get("variants", {}).get("names", [""])
    states = scene["states"]
    for v, row in enumerate(states):
        remedy = "states[variant][i]: put the states of a variant into a list"
        _need(isinstance(row, list), f"states[{v}] is no list; {remedy}")
    _need(
        len(names) == len(states),
        f"states has {len(states)} lists for {len(names)} variants; "
        "give one list of states per name in variants.names",
    )
    for v, row in enumerate(states):
        _need(
            len(row) == len(values),
            f"states[{v}] has {len(row)} states, slider.values {len(values)} texts; "
            "give one text per state",
        )
        for i, state in enumerate(row):
            _check_state(state, len(scene["panels"]), f"states[{v}][{i}]")
    start = scene.get("start", 0)
    _need(
        isinstance(start, int) and 0 <= start < len(values),
        f"start is {start!r}; give a state's index, 0 to {len(values) - 1}",
    )
    return scene


def _need(good: bool, message: str) -> None:
    if not good:
        raise ValueError(message)


def _one_of(value: Any, known: Iterable[Any], where: str) -> None:
    known = [item for item in known if item is not None or value is None]
    if value not in known:
        names = ", ".join(sorted(item for item in known if item is not None))
        raise ValueError(f"{where} is {value!r}; use one of {names}")


def _finite(value: Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def _check_range(ends: Any, where: str) -> None:
    good = isinstance(ends, list) and len(ends) == 2 and all(map(_finite, ends))
    _need(
        good and ends[0] != ends[1], f"{where} is {ends!r}; give two different numbers"
    )


def _check_colour(key: Any, where: str) -> None:
    expert = isinstance(key, int) and not isinstance(key, bool) and 0 <= key < EXPERTS
    _need(
        expert or key in INKS,
        f"{where} is {key!r}; use an expert's number (0 is A) or {', '.join(INKS)}",
    )


def _check_state(state: Any, panels: int, where: str) -> None:
    layers = state.get("panels", [])
    _need(
        len(layers) == panels,
        f"{where}.panels has {len(layers)} lists for {panels} panels; "
        "give one list of layers per panel",
    )
    for p, panel in enumerate(layers):
        for j, layer in enumerate(panel):
            _check_layer(layer, f"{where}.panels[{p}][{j}]")
    if handle := state.get("handle"):
        good = handle.get("panel") in range(panels)
        good = good and _finite(handle.get("x")) and _finite(handle.get("y"))
        _need(good, f"{where}.handle is {handle!r}; give panel, x and y")


def _check_layer(layer: Any, where: str) -> None:
    kind = layer.get("type")
    _one_of(kind, LAYERS, f"{where}.type")
    columns, others = LAYERS[kind]
    for key in layer.keys() - others - {*columns, "type", "front"}:
        known = ", ".join(sorted({*columns, *others, "front"}))
        raise ValueError(f"{where} has the key {key!r}; {kind} knows {known}")
    sizes = {}
    for key in columns:
        _need(isinstance(layer.get(key), list), f"{where}.{key} is missing; add a list")
        sizes[key] = len(layer[key])
        for i, number in enumerate(layer[key]):
            if not _finite(number):
                remedy = "give finite numbers (leave such a point out)"
                raise ValueError(f"{where}.{key}[{i}] is {number!r}; {remedy}")
    n = max(sizes.values(), default=0)
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{key} has {size}" for key, size in sizes.items())
        raise ValueError(f"{where}: {told} numbers; give equally many")
    for key in ("color", "shape", "size", "hollow", "label"):
        if isinstance(item := layer.get(key), list) and len(item) != n:
            raise ValueError(f"{where}.{key} has {len(item)} items, x has {n}; match x")
    colours = layer.get("color", "ink")
    for colour in colours if isinstance(colours, list) else [colours]:
        _check_colour(colour, f"{where}.color")
    shapes = layer.get("shape", "disc")
    for shape in shapes if isinstance(shapes, list) else [shapes]:
        _one_of(shape, SHAPES, f"{where}.shape")
    if kind == "text":
        good = _finite(layer.get("x")) and _finite(layer.get("y"))
        _need(good and "text" in layer, f"{where} needs text and finite x and y")
    if kind == "regions":
        _check_regions(layer, where)


def _check_regions(layer: dict[str, Any], where: str) -> None:
    for key in ("x", "y"):
        _check_range(layer.get(key), f"{where}.{key}")
    cells = layer.get("nx", 0) * layer.get("ny", 0)
    for key, known in (("owner", OWNERS), ("strength", "0123456789")):
        text = unpack(layer.get(key, "0" * cells if key == "strength" else ""))
        _need(
            len(text) == cells,
            f"{where}.{key} has {len(text)} digits; give nx * ny = {cells}",
        )
        if wrong := set(text) - set(known):
            raise ValueError(f"{where}.{key} has {min(wrong)!r}; use only {known}")
