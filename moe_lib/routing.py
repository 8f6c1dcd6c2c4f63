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

    Columns (length A):
        token_index: int64, which token, 0..T-1.
        expert_index: int64, which expert, 0..E-1.
        combine_weights: float, weight of that expert's output in the token's sum;
            carries the gradient to the router; 0 where the row is not kept.
        kept: bool, False where the expert was full (overflow).
        position_in_expert: int64, slot in the expert's buffer, in order of arrival.

    Beside the table:
        router_logits, router_probs: ``[T, E]`` float32 (float64 for a float64
            router), the full softmax, clean of noise.
        capacity: slots per expert, or None where nothing is ever dropped.
        expected_load: ``[E]`` or None, the smooth load estimate of Shazeer et al.
            (2017), equation 10.
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

    @property
    def num_tokens(self) -> int:
        """T, the number of tokens that were routed."""
        return self.router_probs.shape[0]

    @property
    def num_experts(self) -> int:
        """E, the number of experts that could be chosen."""
        return self.router_probs.shape[1]

    @property
    def tokens_per_expert(self) -> Tensor:
        """``[E]`` int64: rows that each expert really serves."""
        return self._count(self.kept.to(torch.int64))

    @property
    def demand_per_expert(self) -> Tensor:
        """``[E]`` int64: rows that asked for each expert, before dropping."""
        return self._count(torch.ones_like(self.expert_index))

    @property
    def drop_fraction(self) -> Tensor:
        """Share of the A rows that found their expert full, a 0-d tensor."""
        return 1.0 - self.kept.to(self.router_probs.dtype).mean()

    def dense(self) -> Tensor:
        """The weights as a matrix ``[T, E]``; gradients flow as through the table."""
        cells = self.token_index * self.num_experts + self.expert_index
        flat = self.combine_weights.new_zeros(self.num_tokens * self.num_experts)
        flat = flat.index_add(0, cells, self.combine_weights)
        return flat.view(self.num_tokens, self.num_experts)  # [T, E]

    def _count(self, ones: Tensor) -> Tensor:
        zeros = torch.zeros(
            self.num_experts, dtype=torch.int64, device=self.expert_index.device
        )
        return zeros.index_add(0, self.expert_index, ones)
