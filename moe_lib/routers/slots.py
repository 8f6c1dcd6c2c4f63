"""Capacity, groups and slots: who gets a place when an expert's buffer is short."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from moe_lib.checks import require_count, require_positive
from moe_lib.sorting import stable_argsort


@dataclass(frozen=True)
class SlotRule:
    """How many slots each expert has for a group of tokens.

    Args:
        capacity_factor: room beyond an even share, in training; None drops nothing.
        eval_capacity_factor: the same in eval mode; None takes ``capacity_factor``.
        min_capacity: slots that an expert has at least.
        group_size: tokens that share one set of buffers; None makes all of them one
            group.

    Raises:
        ValueError: a factor that is not positive and finite, a count below 1.
    """

    capacity_factor: float | None
    eval_capacity_factor: float | None = None
    min_capacity: int = 1
    group_size: int | None = None

    def __post_init__(self) -> None:
        in_training = _exact_ratio(
            "capacity_factor", self.capacity_factor, "None to drop nothing"
        )
        in_eval = _exact_ratio(
            "eval_capacity_factor",
            self.eval_capacity_factor,
            "None to take capacity_factor",
        )
        ratios = {True: in_training, False: in_eval or in_training}
        object.__setattr__(self, "_ratios", ratios)  # by router.training
        require_count("min_capacity", self.min_capacity)
        if self.group_size is not None:
            require_count("group_size", self.group_size)

    def tokens_in_group(self, num_tokens: int) -> int:
        """S; ValueError where the groups do not divide the tokens."""
        if self.group_size is None:
            return num_tokens
        if num_tokens % self.group_size:
            raise ValueError(
                f"{num_tokens} tokens do not divide into groups of group_size="
                f"{self.group_size}: pad them to a multiple (with a token_mask), or"
                " give another group_size"
            )
        return self.group_size

    def capacity(
        self, num_tokens: int, num_experts: int, top_k: int, *, training: bool
    ) -> int | None:
        """Slots per expert and group, or None where nothing is dropped.

        ``max(min_capacity, ceil(capacity_factor * top_k * S / num_experts))``: a
        function of the shape alone, so padding counts as tokens do.
        """
        tokens = self.tokens_in_group(num_tokens)
        ratio = self._ratios[training]
        if ratio is None:
            return None
        above, below = ratio
        slots = -(-above * top_k * tokens // (below * num_experts))  # rounded up
        return max(self.min_capacity, slots)


def _exact_ratio(
    name: str, factor: float | None, otherwise: str
) -> tuple[int, int] | None:
    """The factor as written: 1.1 is 11/10, which gives 10 tokens 11 slots, not 12."""
    if factor is None:
        return None
    require_positive(name, factor, otherwise=otherwise)
    return Fraction(str(factor)).as_integer_ratio()


def group_of(token: Tensor, group_size: int | None) -> Tensor:
    """The group of each token index; all 0 where there is one group."""
    return torch.zeros_like(token) if group_size is None else token // group_size


def arrival_positions(
    expert_index: Tensor,
    num_experts: int,
    *,
    group_size: int | None = None,
    token_mask: Tensor | None = None,
    priority: Tensor | None = None,
) -> Tensor:
    """Each choice's place in its expert's queue, ``[T, k]`` int64 from 0.

    Choice-major: all first choices of a group stand before any second choice.

    Args:
        expert_index: ``[T, k]`` int64, the choices, first choice first.
        token_mask: ``[T]`` bool; padding stands in a queue of its own.
        priority: ``[T]``, who comes first among equal choices: the largest, ties to
            the earlier token (batch-prioritised routing); None is token order.
    """
    num_tokens, top_k = expert_index.shape
    device = expert_index.device
    queue, num_queues = expert_index, num_experts
    if group_size is not None:
        tokens = torch.arange(num_tokens, device=device)
        queue = queue + (tokens // group_size * num_experts).unsqueeze(1)
        num_queues = num_tokens // group_size * num_experts
    if token_mask is not None:
        queue = queue.masked_fill(~token_mask.unsqueeze(1), num_queues)
        num_queues += 1
    order = None
    if priority is not None:
        order = priority.detach().sort(descending=True, stable=True).indices
        queue = queue.index_select(0, order)
    arrivals = queue.t().reshape(-1)  # [k*T] in order of arrival
    by_queue = stable_argsort(arrivals, num_queues)
    one = arrivals.new_ones(1).expand_as(arrivals)
    length = arrivals.new_zeros(num_queues).index_add(0, arrivals, one)
    start = length.cumsum(0) - length  # of each queue among the sorted rows
    row = torch.arange(num_tokens * top_k, device=device)
    place = row - start.index_select(0, arrivals.index_select(0, by_queue))
    position = torch.empty_like(place).scatter(0, by_queue, place)
    position = position.view(top_k, num_tokens).t()
    if order is not None:
        position = torch.empty_like(position).index_copy(0, order, position)
    return position
