"""The mistakes that the exercises of chapter 3 recognise, by exercise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from moe_lib.routers.slots import arrival_positions as in_order

Positions = Callable[[Tensor, int], Tensor]


def _queue(arrivals: Tensor, num_experts: int) -> Tensor:
    """How many of ``[A]`` stand before each in the same queue, ``[A]``."""
    return in_order(arrivals[:, None], num_experts).flatten()


# 03.1, the place in the queue


def token_major(chosen: Tensor, num_experts: int) -> Tensor:
    return _queue(chosen.flatten(), num_experts).view(chosen.shape)


def from_one(chosen: Tensor, num_experts: int) -> Tensor:
    return in_order(chosen, num_experts) + 1


def counters_restart(chosen: Tensor, num_experts: int) -> Tensor:
    return torch.stack([_queue(c, num_experts) for c in chosen.T], dim=1)


def last_first(chosen: Tensor, num_experts: int) -> Tensor:
    return in_order(chosen.flip(1), num_experts).flip(1)


def not_turned_back(chosen: Tensor, num_experts: int) -> Tensor:
    return _queue(chosen.T.flatten(), num_experts).view(chosen.shape)


def one_queue(chosen: Tensor, num_experts: int) -> Tensor:
    return torch.arange(chosen.numel()).view(chosen.T.shape).T


# 03.2, the overflow set


def _nobody(
    chosen: Tensor, num_experts: int, size: int, capacity: int, positions: Positions
) -> Tensor:
    groups = [positions(group, num_experts) for group in chosen.split(size)]
    return (torch.cat(groups) >= capacity).all(dim=1)


def without_groups(chosen: Tensor, num_experts: int, size: int, c: int) -> Tensor:
    return _nobody(chosen, num_experts, len(chosen), c, in_order)


def capacity_of_all(chosen: Tensor, num_experts: int, size: int, c: int) -> Tensor:
    groups = len(chosen) // size
    return _nobody(chosen, num_experts, len(chosen), groups * c, in_order)


def strictly_beyond(chosen: Tensor, num_experts: int, size: int, c: int) -> Tensor:
    return _nobody(chosen, num_experts, size, c + 1, in_order)


def dropped_once(chosen: Tensor, num_experts: int, size: int, c: int) -> Tensor:
    late = [in_order(group, num_experts) >= c for group in chosen.split(size)]
    return torch.cat(late).any(dim=1)


def first_choices(chosen: Tensor, num_experts: int, size: int, c: int) -> Tensor:
    return _nobody(chosen[:, :1], num_experts, size, c, in_order)


def tokens_in_turn(chosen: Tensor, num_experts: int, size: int, c: int) -> Tensor:
    return _nobody(chosen, num_experts, size, c, token_major)


def served(chosen: Tensor, num_experts: int, size: int, c: int) -> Tensor:
    return ~_nobody(chosen, num_experts, size, c, in_order)
