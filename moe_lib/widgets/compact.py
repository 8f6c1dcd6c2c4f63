"""Arrays and long floats become short plain lists, so that a scene stays small."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any


def compact(value: Any, digits: int = 4) -> Any:
    """Plain lists and short numbers: arrays become lists, floats lose digits.

    ``value`` is any nest of mappings, sequences, arrays (whatever has
    ``tolist``) and scalars; floats keep ``digits`` significant digits, whole
    ones become ints. The digits of "regions" are packed (see `pack`). Answers a new
    nest; nothing is changed in place.
    """
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            return value
        short = float(f"{value:.{digits}g}")
        return int(short) if short.is_integer() else short
    if isinstance(value, Mapping):
        return {
            key: pack(item)
            if key in ("owner", "strength") and isinstance(item, str)
            else compact(item, digits)
            for key, item in value.items()
        }
    if hasattr(value, "tolist"):
        return compact(value.tolist(), digits)
    if isinstance(value, Iterable):
        return [compact(item, digits) for item in value]
    raise ValueError(f"scene holds {value!r}; give numbers, texts, lists and dicts")


def pack(text: str) -> str:
    """Runs of four or more equal characters as ``c{n}``: "00000012" is "0{6}12"."""
    return re.sub(r"([^{}])\1{3,}", lambda run: f"{run[1]}{{{len(run[0])}}}", text)


def unpack(text: str) -> str:
    """What `pack` was given."""
    return re.sub(r"(.)\{(\d+)\}", lambda run: run[1] * int(run[2]), text)
