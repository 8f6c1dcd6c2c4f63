"""How weights start: the truncated normal of Switch Transformer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def truncated_normal_(weight: Tensor, *, fan_in: int, scale: float = 1.0) -> Tensor:
    """Fill ``weight`` from N(0, scale / fan_in), redrawn beyond two deviations.

    Fedus et al. (2021), section 2.4: deviation sqrt(s / n) with n the number of inputs
    of a unit, s = 0.1 instead of the usual 1 to keep large sparse models stable. The
    cut at two deviations leaves a real deviation of 0.88 sqrt(s / n); as in the paper,
    that is not made up for.

    Args:
        weight: of any shape; it is changed, and returned.
        fan_in: n. scale: s.

    Raises:
        ValueError: the scale is not a positive number.
    """
    if not 0 < scale < math.inf:
        raise ValueError(f"init_scale={scale}: give a positive number, 0.1 or 1 say")
    std = math.sqrt(scale / fan_in)
    with torch.no_grad():
        return nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)
