"""GShard: two experts for each token, groups, and a lottery for the second.

Lepikhin et al. (2020), "GShard", algorithm 1: group-level top-2 gating.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.checks import require_choice, require_count
from moe_lib.routers.choose import top_k_indices
from moe_lib.routers.router import Router
from moe_lib.routers.slots import SlotRule
from moe_lib.routers.token_choice import token_choice_table
from moe_lib.routing import Routing


class GShardRouter(Router):
    """Top-2 routing with capacity in local groups: A = T * 2 rows.

    All first choices of a group take their slots before any second choice. The two
    weights are normalised before anything is dropped, so a survivor's weight does not
    grow when its partner is lost. The counters count demand: a choice that finds its
    expert full, or that the lottery declines, still moves the queue on.

    Args:
        d_model, num_experts: as in `Router`; at least 2 experts.
        capacity_factor, eval_capacity_factor, min_capacity, group_size: as in
            `SlotRule`; a factor of 1 is the paper's capacity 2N / (G E).
        second_expert_policy: "random" sends a token to its second expert with
            probability min(1, 2 g2) in training, and always in eval mode; "all"
            sends it always.
        batch_prioritized_routing: tokens with the largest first probability take
            slots first (Riquelme et al., 2021), not the earliest.

    Raises:
        ValueError: an argument out of range; T is not a multiple of ``group_size``.
    """

    top_k = 2

    def __init__(
        self,
        d_model: int,
        num_experts: int,
        *,
        capacity_factor: float | None = 1.0,
        eval_capacity_factor: float | None = None,
        min_capacity: int = 1,
        group_size: int | None = None,
        second_expert_policy: str = "random",
        batch_prioritized_routing: bool = False,
    ) -> None:
        require_count("num_experts", num_experts, minimum=2)
        super().__init__(d_model, num_experts)
        self.slots = SlotRule(
            capacity_factor, eval_capacity_factor, min_capacity, group_size
        )
        self.second_expert_policy = require_choice(
            "second_expert_policy", second_expert_policy, ("random", "all")
        )
        self.batch_prioritized_routing = batch_prioritized_routing

    def table(
        self, router_logits: Tensor, noisy_logits: Tensor, token_mask: Tensor | None
    ) -> Routing:
        capacity = self.slots.capacity(
            len(router_logits), self.num_experts, self.top_k, training=self.training
        )
        gates = noisy_logits.softmax(dim=1)  # line 2
        chosen = top_k_indices(noisy_logits, 2)  # [T, 2], lines 5 and 15
        top = gates.gather(1, chosen)
        weights = top / top.sum(dim=1, keepdim=True)  # lines 6 and 16
        accepted = None
        if self.training and self.second_expert_policy == "random":
            first = torch.ones_like(chosen[:, 0], dtype=torch.bool)
            drawn = torch.rand_like(weights[:, 1])  # line 17
            accepted = torch.stack([first, 2 * weights[:, 1] > drawn], dim=1)  # 19
        return token_choice_table(
            chosen,
            weights,
            router_logits,
            router_logits.softmax(dim=1),
            token_mask,
            capacity=capacity,
            group_size=self.slots.group_size,
            priority=top[:, 0] if self.batch_prioritized_routing else None,
            accepted=accepted,
        )
