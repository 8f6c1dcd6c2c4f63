"""How large a model's weights start: Switch's scale, for all its matrices."""

from __future__ import annotations

import torch
from torch import nn

from moe_lib.experts import Experts
from moe_lib.initialisation import truncated_normal_


def draw_afresh(model: nn.Module, scale: float, seed: int = 0) -> None:
    """Draw every matrix of a model anew: N(0, scale / fan_in), cut at 2 deviations.

    Fedus et al. (2021), section 2.4, with ``scale`` 1 or 0.1. Matrices are those of
    experts, dense feed-forward layers, routers, attention and the output; tables of
    bytes and positions, norms and biases stay. Two scales with one seed differ by the
    factor alone.

    Raises:
        ValueError: the scale is not a positive number.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        for module in model.modules():
            if isinstance(module, Experts):
                module.reset_parameters(scale)
            elif isinstance(module, nn.Linear):  # a router's gate is one
                truncated_normal_(module.weight, fan_in=module.in_features, scale=scale)
