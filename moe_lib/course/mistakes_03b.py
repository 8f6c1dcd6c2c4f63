"""Placements that exercise 03b.2 recognises: each is plausible, none is good enough."""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.course.placements import all_crossings, placements


def in_order(together: Tensor, devices: int) -> Tensor:
    """Neighbours together, as an untouched layer is split."""
    return torch.arange(len(together)) // (len(together) // devices)


def dealt_out(together: Tensor, devices: int) -> Tensor:
    return torch.arange(len(together)) % devices


def even_load(together: Tensor, devices: int) -> Tensor:
    """The busiest experts on different devices, and so on down."""
    device = torch.empty(len(together), dtype=torch.int64)
    busiest = together.sum(dim=1).argsort(descending=True, stable=True)
    device[busiest] = dealt_out(together, devices)
    return device


def busiest_together(together: Tensor, devices: int) -> Tensor:
    device = torch.empty(len(together), dtype=torch.int64)
    busiest = together.sum(dim=1).argsort(descending=True, stable=True)
    device[busiest] = in_order(together, devices)
    return device


def best_pair_first(together: Tensor, devices: int) -> Tensor:
    """Device after device: the pair used together most, then whoever fits to it.

    Two experts or more for each device.
    """
    device = torch.full((len(together),), -1)
    room = len(together) // devices
    for d in range(devices):
        free = (device < 0).nonzero().flatten()
        pairs = together[free][:, free].fill_diagonal_(-1)
        best = int(pairs.argmax())
        group = [best // len(free), best % len(free)]
        while len(group) < room:
            score = pairs[:, group].sum(dim=1)
            score[group] = -1
            group.append(int(score.argmax()))
        device[free[group]] = d
    return device


def worst(together: Tensor, devices: int) -> Tensor:
    crossing = all_crossings(together, devices)
    return placements(len(together), devices)[crossing.argmax()]


#: What to say -> a function that places so.
MISTAKES = {
    "that is the order of their numbers, whoever works with whom: use together": (
        in_order
    ),
    "dealt out in turn, whoever works with whom: use together": dealt_out,
    "that evens out the load; what crosses depends on pairs, together[a, b]": even_load,
    "the busiest experts need not be busy together: what counts is the pair": (
        busiest_together
    ),
    "the best pair first leaves bad ones for the last device: go on swapping two"
    " experts while that saves crossings, or try all placements": best_pair_first,
    "the sign is turned round: every placement is the worst there is": worst,
}
