"""From every token's k choices to the table: slots, overflow, padding."""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.routers.slots import arrival_positions
from moe_lib.routing import Routing


def token_choice_table(
    expert_index: Tensor,
    weights: Tensor,
    router_logits: Tensor,
    router_probs: Tensor,
    token_mask: Tensor | None,
    *,
    capacity: int | None = None,
    group_size: int | None = None,
    priority: Tensor | None = None,
    accepted: Tensor | None = None,
    expected_load: Tensor | None = None,
) -> Routing:
    """The table of a router whose tokens choose; row t*k + j is t's j-th choice.

    A row is kept where its token is real, its expert has a slot left and the lottery
    (``accepted``) did not decline it. A row that is not kept weighs 0, and has
    advanced its expert's counter all the same: counters count demand.

    Args:
        expert_index, weights: ``[T, k]``, first choice first.
        priority: ``[T]`` or None, see `arrival_positions`.
        accepted: ``[T, k]`` bool or None, what GShard's lottery lets through.
    """
    num_tokens, top_k = expert_index.shape
    num_experts = router_probs.shape[1]
    position = arrival_positions(
        expert_index,
        num_experts,
        group_size=group_size,
        token_mask=token_mask,
        priority=priority,
    )
    kept = torch.ones_like(expert_index, dtype=torch.bool)
    if capacity is not None:
        kept = kept & (position < capacity)
    if accepted is not None:
        kept = kept & accepted
    if token_mask is not None:
        kept = kept & token_mask.unsqueeze(1)
    tokens = torch.arange(num_tokens, device=expert_index.device)
    return Routing(
        token_index=tokens.repeat_interleave(top_k),
        expert_index=expert_index.reshape(-1),
        combine_weights=weights.where(kept, 0.0).reshape(-1),
        kept=kept.reshape(-1),
        position_in_expert=position.reshape(-1),
        router_logits=router_logits,
        router_probs=router_probs,
        capacity=capacity,
        expected_load=expected_load,
        group_size=group_size,
        token_mask=token_mask,
    )
