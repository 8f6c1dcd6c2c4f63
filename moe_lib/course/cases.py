"""Inputs for exercises: drawn at random, with numbers short enough to be read."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def tenths(draw: torch.Generator, *shape: int) -> Tensor:
    """About normal, with one decimal, float64: 0.3, -1.2."""
    drawn = torch.randn(shape, generator=draw, dtype=torch.float64)
    return drawn.round(decimals=1) + 0.0  # -0.0 becomes 0.0


def shares(draw: torch.Generator, tokens: int, experts: int) -> Tensor:
    """Rows of multiples of 0.05 that sum to 1, none of them 0. [T, E] float64, E <= 20

    Every expert gets one twentieth; the others are dealt out at random.
    """
    dealt = torch.randint(experts, (tokens, 20 - experts), generator=draw)
    return (1 + one_hot(dealt, experts).sum(dim=1)).double() / 20
