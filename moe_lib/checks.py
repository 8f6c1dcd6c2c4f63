"""Checks of arguments: one line that names the bad value and what to do."""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Real

import torch
from torch import Tensor


def require_count(name: str, value: int, *, minimum: int = 1) -> int:
    """Return ``value`` if it is an int of at least ``minimum``; else ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(f"{name}={value!r}: give a whole number of at least {minimum}")
    return value


def require_top_k(top_k: int, name: str, count: int) -> int:
    """Return ``top_k`` if it is a count of at most ``count``, which is ``name``."""
    if require_count("top_k", top_k) > count:
        raise ValueError(
            f"top_k={top_k} but {name}={count}: give a top_k of at most {count}"
        )
    return top_k


def require_positive(name: str, value: float, *, otherwise: str = "") -> float:
    """Return ``value`` if it is a finite number above 0; else ValueError."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number and 0 < value < math.inf):  # NaN fails both
        raise ValueError(
            f"{name}={value!r}: give a finite number above 0"
            + (f", or {otherwise}" if otherwise else "")
        )
    return value


def require_share(name: str, value: float) -> float:
    """Return ``value`` if it is a number in [0, 1); else ValueError."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number and 0 <= value < 1):
        raise ValueError(f"{name}={value!r}: give a number from 0 to below 1")
    return value


def require_choice(name: str, value: str, choices: Collection[str]) -> str:
    """Return ``value`` if it is one of ``choices``; else ValueError."""
    if value not in choices:
        raise ValueError(f"{name}={value!r}: choose one of {', '.join(choices)}")
    return value


def require_matrix(name: str, x: Tensor, width: int | None = None) -> Tensor:
    """Return ``x`` if it is a float ``[T, width]``; else ValueError."""
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


def require_per_token(
    name: str, values: Tensor | None, num_tokens: int, dtype: torch.dtype
) -> Tensor | None:
    """Return ``values`` if it is None or ``[T]`` of ``dtype``; else ValueError."""
    if values is None:
        return None
    if not isinstance(values, Tensor):
        kind = type(values).__name__
        raise ValueError(f"{name} is a {kind}: give a torch.Tensor [{num_tokens}]")
    if values.shape != (num_tokens,) or values.dtype != dtype:
        raise ValueError(
            f"{name} is {values.dtype} {list(values.shape)}: give {dtype}"
            f" [{num_tokens}], one value for each token"
        )
    return values


def require_indices(name: str, values: Tensor, num_tokens: int, size: int) -> Tensor:
    """Return ``values`` if it is int64 ``[T]`` in 0..size-1; else ValueError.

    Looks at the values where `require_finite` does.
    """
    require_per_token(name, values, num_tokens, torch.int64)
    if values.is_meta:
        return values
    bad = (values < 0) | (values >= size)
    if values.is_cuda or torch.compiler.is_compiling():
        torch._assert_async(~bad.any(), f"{name} holds an index outside 0..{size - 1}")
    elif bad.any():
        cell = int(bad.nonzero()[0])
        raise ValueError(
            f"{name}[{cell}] is {int(values[cell])}: give whole numbers from 0 to"
            f" {size - 1}"
        )
    return values


def require_finite(name: str, x: Tensor) -> Tensor:
    """Return ``x`` if all of it is finite; else a ValueError that names a bad cell.

    On CUDA, and while compiling, an asynchronous assertion stands in its place, so
    that nothing waits for the device. On meta tensors and inside torch.func.vmap
    there are no values to look at.
    """
    if x.is_meta:
        return x
    if x.is_cuda or torch.compiler.is_compiling():
        message = f"{name} holds NaN or infinity"
        torch._assert_async(torch.isfinite(x).all(), message)
        return x
    if torch._C._functorch.is_functorch_wrapped_tensor(x):
        return x
    if torch.isfinite(x.detach().sum()):  # the quick look; a sum may also overflow,
        return x
    bad = ~torch.isfinite(x)  # so the slow one decides
    if bad.any():
        cell = bad.nonzero()[0].tolist()
        raise ValueError(
            f"{name}{cell} is {x[tuple(cell)].item()} ({int(bad.sum())} such values):"
            " drop those rows or fill them in first"
        )
    return x
