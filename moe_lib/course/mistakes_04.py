"""The mistakes that the exercises of chapter 4 recognise, by exercise."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from moe_lib.routers.slots import arrival_positions

Dispatched = tuple[Tensor, Tensor]

# 04.1, capacity and overflow


def _slots(expert: Tensor, num_experts: int) -> Tensor:
    return arrival_positions(expert[:, None], num_experts)[:, 0]


def _capacity(expert: Tensor, num_experts: int, factor: float) -> int:
    return math.ceil(factor * len(expert) / num_experts)


def printed(expert: Tensor, num_experts: int, factor: float) -> Dispatched:
    slots = _slots(expert, num_experts) + 1
    return slots, slots < _capacity(expert, num_experts, factor)


def slots_from_one(expert: Tensor, num_experts: int, factor: float) -> Dispatched:
    slots = _slots(expert, num_experts) + 1
    return slots, slots <= _capacity(expert, num_experts, factor)


def kept_from_one(expert: Tensor, num_experts: int, factor: float) -> Dispatched:
    slots = _slots(expert, num_experts)
    return slots, slots + 1 < _capacity(expert, num_experts, factor)


def one_too_many(expert: Tensor, num_experts: int, factor: float) -> Dispatched:
    slots = _slots(expert, num_experts)
    return slots, slots <= _capacity(expert, num_experts, factor)


def rounded_down(expert: Tensor, num_experts: int, factor: float) -> Dispatched:
    slots = _slots(expert, num_experts)
    return slots, slots < int(factor * len(expert) / num_experts)


def one_queue(expert: Tensor, num_experts: int, factor: float) -> Dispatched:
    slots = torch.arange(len(expert))
    return slots, slots < _capacity(expert, num_experts, factor)


def not_divided(expert: Tensor, num_experts: int, factor: float) -> Dispatched:
    slots = _slots(expert, num_experts)
    return slots, slots < _capacity(expert, 1, factor)


def unlimited(expert: Tensor, num_experts: int, factor: float) -> Dispatched:
    slots = _slots(expert, num_experts)
    return slots, torch.ones_like(slots, dtype=torch.bool)


def dropped_to_0(expert: Tensor, num_experts: int, factor: float) -> Dispatched:
    slots = _slots(expert, num_experts)
    kept = slots < _capacity(expert, num_experts, factor)
    return slots.where(kept, 0), kept


def last_first(expert: Tensor, num_experts: int, factor: float) -> Dispatched:
    slots = _slots(expert.flip(0), num_experts).flip(0)
    return slots, slots < _capacity(expert, num_experts, factor)


def dropped(expert: Tensor, num_experts: int, factor: float) -> Dispatched:
    slots = _slots(expert, num_experts)
    return slots, slots >= _capacity(expert, num_experts, factor)


# 04.2, the gradient of the router: logits, outputs, kept, upstream


def _parts(logits: Tensor, o: Tensor, kept: Tensor, g: Tensor) -> tuple[Tensor, ...]:
    """p, the one-hot of the best ``[T, E]`` each, and dL/dp_i ``[T, 1]``."""
    best = one_hot(logits.argmax(dim=1), logits.shape[1])
    return logits.softmax(dim=1), best, ((g * o).sum(dim=1) * kept)[:, None]


def _by_softmax(logits: Tensor, o: Tensor, kept: Tensor, g: Tensor) -> Tensor:
    p, best, slope = _parts(logits, o, kept, g)
    return slope * (p * best).sum(1, keepdim=True) * (best - p)


def renormalised(logits: Tensor, o: Tensor, kept: Tensor, g: Tensor) -> Tensor:
    return torch.zeros_like(logits)


def straight_through(logits: Tensor, o: Tensor, kept: Tensor, g: Tensor) -> Tensor:
    _, best, slope = _parts(logits, o, kept, g)
    return slope * best


def own_logit_alone(logits: Tensor, o: Tensor, kept: Tensor, g: Tensor) -> Tensor:
    p, best, slope = _parts(logits, o, kept, g)
    return slope * best * p * (1 - p)


def through_the_dropped(logits: Tensor, o: Tensor, kept: Tensor, g: Tensor) -> Tensor:
    return _by_softmax(logits, o, torch.ones_like(kept), g)


def of_the_logarithm(logits: Tensor, o: Tensor, kept: Tensor, g: Tensor) -> Tensor:
    p, best, slope = _parts(logits, o, kept, g)
    return slope * (best - p)


def times_p(logits: Tensor, o: Tensor, kept: Tensor, g: Tensor) -> Tensor:
    p, best, slope = _parts(logits, o, kept, g)
    return slope * best * p


def own_slopes(logits: Tensor, o: Tensor, kept: Tensor, g: Tensor) -> Tensor:
    p, _, slope = _parts(logits, o, kept, g)
    return slope * p * (1 - p)


def without_outputs(logits: Tensor, o: Tensor, kept: Tensor, g: Tensor) -> Tensor:
    return _by_softmax(logits, torch.ones_like(o), kept, g)


def averaged(logits: Tensor, o: Tensor, kept: Tensor, g: Tensor) -> Tensor:
    return _by_softmax(logits, o, kept, g) / len(logits)
