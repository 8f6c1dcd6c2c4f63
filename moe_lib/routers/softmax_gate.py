"""The gate of 1991: every expert serves every case, in softmax proportion.

Jacobs, Jordan, Nowlan and Hinton (1991), "Adaptive Mixtures of Local Experts":
p_i = exp(x_i) / sum_j exp(x_j), where x_i is the total input to gate output i.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.routers.router import Router
from moe_lib.routing import Routing


class SoftmaxGate(Router):
    """Dense gating: A = T * E rows, token by token, weights that sum to 1.

    Args:
        d_model: width of the input.
        num_experts: E.
        bias: give each gate output a bias. The later routers have none; on raw
            two-dimensional inputs, as in 1991, the gate's borders could then only
            pass through the origin.

    Raises:
        ValueError: as in `Router`.
    """

    def table(
        self, router_logits: Tensor, noisy_logits: Tensor, token_mask: Tensor | None
    ) -> Routing:
        clean, noisy = router_logits.softmax(dim=1), noisy_logits.softmax(dim=1)
        num_tokens, num_experts = clean.shape
        tokens = torch.arange(num_tokens, device=clean.device)
        experts = torch.arange(num_experts, device=clean.device)
        place = tokens  # every token waits in every queue
        kept = torch.ones_like(tokens, dtype=torch.bool)
        if token_mask is not None:
            place, kept = token_mask.cumsum(0) - token_mask.long(), token_mask
        return Routing(
            token_index=tokens.repeat_interleave(num_experts),  # [T*E]
            expert_index=experts.repeat(num_tokens),
            combine_weights=noisy.where(kept.unsqueeze(1), 0.0).flatten(),
            kept=kept.repeat_interleave(num_experts),
            position_in_expert=place.repeat_interleave(num_experts),
            router_logits=router_logits,
            router_probs=clean,
            token_mask=token_mask,
        )
