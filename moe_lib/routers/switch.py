"""Switch: one expert for each token, and a buffer that can overflow.

Fedus, Zoph and Shazeer (2021), "Switch Transformers": h(x) = W_r x and
p_i(x) = exp(h_i) / sum_j exp(h_j) (equation 1); y = p_i(x) E_i(x) for the one best i.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.checks import require_matrix, require_share
from moe_lib.routers.choose import top_k_indices
from moe_lib.routers.router import Router, router_precision
from moe_lib.routers.slots import SlotRule
from moe_lib.routers.token_choice import token_choice_table
from moe_lib.routing import Routing


class SwitchRouter(Router):
    """Top-1 routing with expert capacity: A = T rows.

    The weight is the chosen expert's probability in the softmax over all E, not
    renormalised: renormalised it would be 1, and the router would get no gradient. A
    token beyond its expert's capacity is dropped; its output is 0.

    In training, ``jitter_noise`` multiplies a copy of the router's input by
    U[1 - jitter, 1 + jitter]; choice and weight come from that, while
    ``router_logits`` and ``router_probs`` of the table stay clean.

    Args:
        d_model, num_experts: as in `Router`.
        capacity_factor, eval_capacity_factor, min_capacity, group_size: as in
            `SlotRule`; capacity is ceil(factor * tokens / experts), equation 3.
        jitter_noise: from 0 to below 1; the paper takes 0.01.
        batch_prioritized_routing: the tokens that the router is surest of take slots
            first (Riquelme et al., 2021), not the earliest.

    Raises:
        ValueError: an argument out of range; T is not a multiple of ``group_size``.
    """

    top_k = 1

    def __init__(
        self,
        d_model: int,
        num_experts: int,
        *,
        capacity_factor: float | None = 1.25,
        eval_capacity_factor: float | None = None,
        min_capacity: int = 1,
        group_size: int | None = None,
        jitter_noise: float = 0.0,
        batch_prioritized_routing: bool = False,
    ) -> None:
        super().__init__(d_model, num_experts)
        self.slots = SlotRule(
            capacity_factor, eval_capacity_factor, min_capacity, group_size
        )
        self.jitter_noise = require_share("jitter_noise", jitter_noise)
        self.batch_prioritized_routing = batch_prioritized_routing

    def forward(
        self,
        x: Tensor,
        token_mask: Tensor | None = None,
        token_ids: Tensor | None = None,
    ) -> Routing:
        """Route ``x`` ``[T, d_model]``; the arguments are `Router`'s."""
        require_matrix("x", x, self.d_model)
        clean, noisy = self.gate(x), None
        if self.training and self.jitter_noise:
            x = router_precision(x)
            low, high = 1 - self.jitter_noise, 1 + self.jitter_noise
            jitter = torch.empty_like(x).uniform_(low, high)
            noisy = self.gate(x * jitter)
        return self.route(clean, token_mask, noisy_logits=noisy)

    def table(
        self, router_logits: Tensor, noisy_logits: Tensor, token_mask: Tensor | None
    ) -> Routing:
        chosen = top_k_indices(noisy_logits, 1)
        return self.table_of(chosen, router_logits, noisy_logits, token_mask)

    def table_of(
        self,
        chosen: Tensor,
        router_logits: Tensor,
        noisy_logits: Tensor,
        token_mask: Tensor | None,
    ) -> Routing:
        """The table with a choice that somebody made, whose weight is p.

        Args:
            chosen: ``[T, 1]`` int64, any expert for each token.
            router_logits, noisy_logits, token_mask: as in `table`.
        """
        capacity = self.slots.capacity(
            len(chosen), self.num_experts, self.top_k, training=self.training
        )
        clean, noisy = router_logits.softmax(dim=1), noisy_logits.softmax(dim=1)
        weight = noisy.gather(1, chosen)
        return token_choice_table(
            chosen,
            weight,
            router_logits,
            clean,
            token_mask,
            capacity=capacity,
            group_size=self.slots.group_size,
            priority=weight[:, 0] if self.batch_prioritized_routing else None,
        )
