"""Checks of arguments: one line that names the bad value and what to do."""

from __future__ import annotations

import torch
from torch import Tensor


def require_count(name: str, value: int, *, minimum: int = 1) -> int:
    """Return ``value`` if it is an int of at least ``minimum``; else ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(f"{name}={value!r}: give a whole number of at least {minimum}")
    return value


def require_matrix(name: str, x: Tensor, width: int | None = None) -> Tensor:
    """Return ``x`` if it is a finite float ``[T, width]``; else ValueError."""
    if not isinstance(x, Tensor):
        raise ValueError(f"{name} is a {type(x).__name__}: give a torch.Tensor [T, d]")
    if x.ndim != 2:
        raise ValueError(
            f"{name} has shape {list(x.shape)}: give two dimensions [T, d]"
        )
    if not x.is_floating_point():
        raise ValueError(f"{name} has dtype {x.dtype}: convert it with .float()")
    if width is not None and x.shape[1] != width:
        raise ValueError(
            f"{name} has {x.shape[1]} columns but the model was built for {width}:"
            f" give [T, {width}]"
        )
    return x


def require_finite(name: str, x: Tensor) -> Tensor:
    """Return ``x`` if all of it is finite; else a ValueError that names a bad cell."""
    bad = ~torch.isfinite(x)
    if bad.any():
        cell = bad.nonzero()[0].tolist()
        raise ValueError(
            f"{name}{cell} is {x[tuple(cell)].item()} ({int(bad.sum())} such values):"
            " drop those rows or fill them in first"
        )
    return x
