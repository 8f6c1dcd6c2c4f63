"""The routing table: every router's answer, from the 1991 gate to expert choice.

One row is one assignment of a token to an expert. A heat map is a pivot of this
table, the load a group-by, an overflow a filter, a dispatch a sort.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Routing:
    """A table of A assignments of T tokens to E experts.

    Columns (length A, which depends on shapes alone, never on the data):
        token_index: int64, which token, 0..T-1.
        expert_index: int64, which expert, 0..E-1.
        combine_weights: float, weight of that expert's output in the token's sum;
            carries the gradient to the router; 0 where the row is not kept.
        kept: bool, False where the expert was full (overflow), where GShard's lottery
            declined the second expert, and for padding.
        position_in_expert: int64, slot in the expert's buffer (of its group), in
            order of arrival; at least ``capacity`` where the expert was full.

    Beside the table:
        router_logits, router_probs: ``[T, E]`` float32 (float64 for a float64
            router), the full softmax, clean of noise.
        capacity: slots per expert and group, or None where nothing is ever dropped.
        expected_load: ``[E]`` or None, the smooth load estimate of Shazeer et al.
            (2017), equation 10.
        group_size: tokens per group, or None where all tokens are one group.
        token_mask: ``[T]`` bool or None; False marks padding, which takes no slot and
            counts in nothing.
    """

    token_index: Tensor
    expert_index: Tensor
    combine_weights: Tensor
    kept: Tensor
    position_in_expert: Tensor
    router_logits: Tensor
    router_probs: Tensor
    capacity: int | None = None
    expected_load: Tensor | None = None
    group_size: int | None = None
    token_mask: Tensor | None = None

    @property
    def num_tokens(self) -> int:
        """T, the number of tokens that were routed."""
        return self.router_probs.shape[0]

    @property
    def num_experts(self) -> int:
        """E, the number of experts that could be chosen."""
        return self.router_probs.shape[1]

    @property
    def real_rows(self) -> Tensor:
        """``[A]`` bool: False for the rows of padding."""
        if self.token_mask is None:
            return torch.ones_like(self.kept)
        return self.token_mask.index_select(0, self.token_index)

    @property
    def tokens_per_expert(self) -> Tensor:
        """``[E]`` int64: rows that each expert really serves."""
        return self._count(self.kept)

    @property
    def demand_per_expert(self) -> Tensor:
        """``[E]`` int64: rows that asked for each expert, before dropping."""
        return self._count(self.real_rows)

    @property
    def drop_fraction(self) -> Tensor:
        """Share of the rows (of padding none) that were not kept, a 0-d tensor."""
        asked = self.real_rows.sum().clamp(min=1)
        dropped = (self.real_rows & ~self.kept).sum()
        return (dropped / asked).to(self.router_probs.dtype)

    def dense(self) -> Tensor:
        """The weights as a matrix ``[T, E]``; gradients flow as through the table."""
        cells = self.token_index * self.num_experts + self.expert_index
        flat = self.combine_weights.new_zeros(self.num_tokens * self.num_experts)
        flat = flat.index_add(0, cells, self.combine_weights)
        return flat.view(self.num_tokens, self.num_experts)  # [T, E]

    def _count(self, rows: Tensor) -> Tensor:
        zeros = torch.zeros(
            self.num_experts, dtype=torch.int64, device=self.expert_index.device
        )
        return zeros.index_add(0, self.expert_index, rows.to(torch.int64))
