"""Do several processes compute what one computes? Called by all ranks together."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from moe_lib.layer import MoE
from moe_lib.parallel import ExpertParallel
from moe_lib.parallel_model import sum_gradients


def worst_differences(moe: MoE, layer: ExpertParallel, x: Tensor) -> dict[str, float]:
    """Of all ranks, between the layer and ``moe`` on the tokens of all in one process.

    Relative to the largest entry, of outputs and of each gradient.
    """
    rank, parts = layer.rank, on_all_ranks(x.detach().cpu())
    every = torch.cat(parts).to(x.device).requires_grad_()
    one, _ = moe(every)
    one.square().sum().backward()
    several, _ = layer(x)
    several.square().sum().backward()
    sum_gradients(layer)

    found = {"outputs": (several, one), "gradient of the tokens": (x.grad, every.grad)}
    sizes = [len(part) for part in parts]
    found = {name: (a, b.split(sizes)[rank]) for name, (a, b) in found.items()}
    for name, weight in layer.named_parameters():
        right = moe.get_parameter(name).grad
        if name.startswith("experts."):
            right = right.chunk(layer.ranks)[rank]  # those that stand here
        found[f"gradient of {name}"] = (weight.grad, right)
    return {name: worst(*pair) for name, pair in found.items()}


def worst(a: Tensor, b: Tensor) -> float:
    """The largest ``|a - b|`` of all ranks, over their largest ``|b|``."""
    both = [F.pad(part.detach().abs().flatten(), (0, 1)).max() for part in (a - b, b)]
    error, size = (max(on_all_ranks(value.item())) for value in both)
    return error / size


def distance(a: Tensor, b: Tensor) -> float:
    """The root mean square of ``a - b`` over that of ``b``, of all ranks' rows."""
    squares = [part.detach().square().sum().item() for part in (a - b, b)]
    error, size = (sum(on_all_ranks(value)) for value in squares)
    return (error / size) ** 0.5


def on_all_ranks(value: Any) -> list[Any]:
    """What each rank gives, in order of the ranks."""
    values = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values
