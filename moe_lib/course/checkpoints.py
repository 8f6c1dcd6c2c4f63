"""What models know at the checkpoints of a training, and when they came to know it."""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.course.columns import Columns


def arms_of(columns: Columns) -> list[str]:
    """The arms that were trained, in order: those of which the seconds are known."""
    split = (name.split(": ") for name in dict(columns))
    return [arm for arm, what in split if what == "seconds"]


def last_bits(columns: Columns, arm: str) -> Tensor:
    """``[S]``: bits per byte of held-out text, at the last checkpoint."""
    return columns[f"{arm}: bits"][:, -1]


def interpolated(x: Tensor, y: Tensor, at: Tensor) -> Tensor:
    """``y`` ``[S, C]`` where ``x`` ``[S, C]``, rising, is ``at`` ``[S]``: ``[S]``.

    On a straight line between two checkpoints; NaN before the first, after the last.
    """
    right = torch.searchsorted(x.contiguous(), at[:, None].contiguous()).clamp(
        1, x.shape[1] - 1
    )
    (x0, x1), (y0, y1) = (
        (table.gather(1, right - 1), table.gather(1, right)) for table in (x, y)
    )
    share = (at[:, None] - x0) / (x1 - x0)
    inside = (share >= 0) & (share <= 1)
    return (y0 + share * (y1 - y0)).where(inside, torch.nan).squeeze(1)


def first_reached(losses: Tensor, level: Tensor, x: Tensor) -> Tensor:
    """Where ``losses`` ``[S, C]`` first are at ``level`` ``[S]``, measured in ``x``.

    Args:
        x: ``[S, C]``, rising: steps or seconds.

    Returns:
        ``[S]``, on a straight line between two checkpoints. The first checkpoint for
        what was reached before it, infinity for what was never reached.
    """
    best = losses.cummin(dim=1).values
    found = interpolated(-best, x, -level)
    found = torch.where(best[:, 0] <= level, x[:, 0], found)
    return found.where(best[:, -1] <= level, torch.inf)
