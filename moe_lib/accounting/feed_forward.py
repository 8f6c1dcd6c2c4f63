"""One feed-forward layer, dense or a mixture of experts."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from moe_lib.accounting.memory import Memory, training_memory
from moe_lib.activations import ACTIVATIONS
from moe_lib.checks import require_choice, require_count
from moe_lib.routers.slots import SlotRule


@dataclass(frozen=True)
class FeedForward:
    """The sizes of a layer, and what follows from them for a batch of T tokens.

    Only matrix products are counted as FLOPs; activations, softmax, sorting and sums
    are small beside them. Loads are taken to be even.

    Args:
        d_model, d_ff: widths outside and inside (of one expert).
        activation: "relu" and "gelu" have two matrices, "swiglu" three; no bias.
        num_experts: E; None is a dense layer, without a router.
        top_k: experts per token.
        shared_experts: experts of the same size that every token goes through.
        capacity_factor, min_capacity, group_size: as the routers'; a factor of None
            drops nothing.

    Raises:
        ValueError: a size that is not a positive whole number, an unknown activation,
            more choices than experts.
    """

    d_model: int
    d_ff: int
    activation: str = "relu"
    num_experts: int | None = None
    top_k: int = 1
    shared_experts: int = 0
    capacity_factor: float | None = None
    min_capacity: int = 1
    group_size: int | None = None

    def __post_init__(self) -> None:
        require_count("d_model", self.d_model)
        require_count("d_ff", self.d_ff)
        require_choice("activation", self.activation, ACTIVATIONS)
        require_count("top_k", self.top_k)
        require_count("shared_experts", self.shared_experts, minimum=0)
        if self.top_k > require_count("num_experts", self.num_experts or 1):
            raise ValueError(
                f"top_k={self.top_k} of num_experts={self.num_experts or 1}: give at"
                " most as many choices as experts"
            )

    # Parameters

    @property
    def matrices(self) -> int:
        return 3 if self.activation == "swiglu" else 2

    @property
    def expert_parameters(self) -> int:
        """Of one expert; of the whole layer, if it is dense."""
        return self.matrices * self.d_model * self.d_ff

    @property
    def router_parameters(self) -> int:
        return self.d_model * (self.num_experts or 0)

    @property
    def total_parameters(self) -> int:
        experts = (self.num_experts or 1) + self.shared_experts
        return self.router_parameters + experts * self.expert_parameters

    @property
    def active_parameters(self) -> int:
        """Those that take part in one token's output: router, its experts, shared."""
        experts = self.top_k + self.shared_experts
        return self.router_parameters + experts * self.expert_parameters

    # Rows: one for each token and expert that it goes to

    def slots(self, num_tokens: int) -> int:
        """Rows of the experts' buffers: E * capacity in every group.

        A layer that pads its buffers computes them all, useful or not. T * k where
        nothing is dropped: then no buffer need be padded.
        """
        if self.num_experts is None or self.capacity_factor is None:
            return num_tokens * self.top_k
        rule = SlotRule(self.capacity_factor, None, self.min_capacity, self.group_size)
        capacity = rule.capacity(
            num_tokens, self.num_experts, self.top_k, training=True
        )
        groups = num_tokens // rule.tokens_in_group(num_tokens)
        return groups * self.num_experts * capacity

    def useful(self, num_tokens: int) -> int:
        """Rows that a token fills, at most: T * k, or all slots if those are fewer."""
        return min(num_tokens * self.top_k, self.slots(num_tokens))

    def wasted(self, num_tokens: int) -> float:
        """Share of the slots that stay empty even if the loads are even."""
        return 1 - self.useful(num_tokens) / self.slots(num_tokens)

    # Work

    def flops(
        self, num_tokens: int, *, backward: bool = False, padded: bool = False
    ) -> int:
        """Of forward; with ``backward`` of both: each product has two more of its size.

        Args:
            padded: count all slots, as buffers of fixed size do, not the useful rows.
        """
        rows = self.slots(num_tokens) if padded else self.useful(num_tokens)
        rows += self.shared_experts * num_tokens
        products = rows * self.expert_parameters
        products += num_tokens * self.router_parameters
        return 2 * products * (3 if backward else 1)

    # Memory

    def activation_bytes(
        self, num_tokens: int, dtype: torch.dtype = torch.float32
    ) -> int:
        """What this library's layer keeps between forward and backward.

        The layer's input; for each row its copy of the input, its hidden values before
        the activation, and (for the weight's gradient) its output; and the table: five
        columns, logits and probabilities.
        """
        kept = num_tokens * self.d_model
        rows = self.useful(num_tokens)
        hidden = (self.matrices - 1) * self.d_ff
        if self.num_experts is None:
            return (kept + rows * hidden) * dtype.itemsize
        kept += rows * (2 * self.d_model + hidden)
        kept += self.shared_experts * num_tokens * hidden
        columns = 8 + 8 + 4 + 1 + 8
        table = num_tokens * (self.top_k * columns + 2 * 4 * self.num_experts)
        return kept * dtype.itemsize + table

    def memory(
        self,
        num_tokens: int,
        dtype: torch.dtype = torch.float32,
        optimiser: str = "adam",
    ) -> Memory:
        """Of a training step: optimiser is "sgd", "momentum", "adam" or "none"."""
        activations = self.activation_bytes(num_tokens, dtype)
        return training_memory(self.total_parameters, activations, dtype, optimiser)
