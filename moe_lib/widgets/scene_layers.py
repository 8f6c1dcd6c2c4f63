"""The layers of a scene, and what is wrong with one that cannot be shown."""

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
INKS = ("ink", "muted", "accent")
SHAPES = ("disc", "diamond", "square", "triangle")
#: Experts have the letters A to Z; the eight colours repeat.
EXPERTS = 26
OWNERS = "0123456789abcdefghijklmnop."


def need(good: bool, message: str) -> None:
    """Raises ValueError: ``message``, where it is not good."""
    if not good:
        raise ValueError(message)


def one_of(value: Any, known: Iterable[Any], where: str) -> None:
    """Raises ValueError: ``value`` is none of the ``known``."""
    known = [item for item in known if item is not None or value is None]
    if value not in known:
        names = ", ".join(sorted(item for item in known if item is not None))
        raise ValueError(f"{where} is {value!r}; use one of {names}")


def finite(value: Any) -> bool:
    """Whether it is a number, neither infinite nor NaN."""
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def check_range(ends: Any, where: str) -> None:
    """Raises ValueError: not two different numbers."""
    good = isinstance(ends, list) and len(ends) == 2 and all(map(finite, ends))
    need(
        good and ends[0] != ends[1], f"{where} is {ends!r}; give two different numbers"
    )


def check_colour(key: Any, where: str) -> None:
    """Raises ValueError: neither an expert's number nor one of `INKS`."""
    expert = isinstance(key, int) and not isinstance(key, bool) and 0 <= key < EXPERTS
    need(
        expert or key in INKS,
        f"{where} is {key!r}; use an expert's number (0 is A) or {', '.join(INKS)}",
    )


def check_layers(layers: list[Any], where: str, shared: int = 0) -> None:
    """Raises ValueError: a layer that cannot be shown.

    Args:
        shared: so many lists are there for numbers to stand for.
    """
    for j, layer in enumerate(layers):
        if not isinstance(layer, int):
            _check_layer(layer, f"{where}[{j}]")
        elif not 0 <= layer < shared:
            remedy = f"there are {shared} lists in shared"
            raise ValueError(f"{where}[{j}] is {layer}; {remedy}, counted from 0")


def _check_layer(layer: Any, where: str) -> None:
    kind = layer.get("type")
    one_of(kind, LAYERS, f"{where}.type")
    columns, others = LAYERS[kind]
    for key in layer.keys() - others - {*columns, "type", "front"}:
        known = ", ".join(sorted({*columns, *others, "front"}))
        raise ValueError(f"{where} has the key {key!r}; {kind} knows {known}")
    sizes = {}
    for key in columns:
        need(isinstance(layer.get(key), list), f"{where}.{key} is missing; add a list")
        sizes[key] = len(layer[key])
        for i, number in enumerate(layer[key]):
            if not finite(number):
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
        check_colour(colour, f"{where}.color")
    shapes = layer.get("shape", "disc")
    for shape in shapes if isinstance(shapes, list) else [shapes]:
        one_of(shape, SHAPES, f"{where}.shape")
    if kind == "text":
        good = finite(layer.get("x")) and finite(layer.get("y"))
        need(good and "text" in layer, f"{where} needs text and finite x and y")
    if kind == "regions":
        _check_regions(layer, where)


def _check_regions(layer: dict[str, Any], where: str) -> None:
    for key in ("x", "y"):
        check_range(layer.get(key), f"{where}.{key}")
    cells = layer.get("nx", 0) * layer.get("ny", 0)
    for key, known in (("owner", OWNERS), ("strength", "0123456789")):
        text = unpack(layer.get(key, "0" * cells if key == "strength" else ""))
        need(
            len(text) == cells,
            f"{where}.{key} has {len(text)} digits; give nx * ny = {cells}",
        )
        if wrong := set(text) - set(known):
            raise ValueError(f"{where}.{key} has {min(wrong)!r}; use only {known}")
