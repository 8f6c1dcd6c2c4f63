"""The gate of 1991: every expert serves every case, in softmax proportion.

Jacobs, Jordan, Nowlan and Hinton (1991), "Adaptive Mixtures of Local Experts":
p_i = exp(x_i) / sum_j exp(x_j), where x_i is the total input to gate output i.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from moe_lib.checks import require_count, require_matrix
from moe_lib.routing import Routing


class SoftmaxGate(nn.Module):
    """Dense gating: A = T * E rows, token by token, weights that sum to 1.

    Args:
        d_model: width of the input.
        num_experts: E.
        bias: give each gate output a bias. The later routers have none; on raw
            two-dimensional inputs, as in 1991, the gate's borders could then only
            pass through the origin.

    Raises:
        ValueError: an argument is not a positive whole number; the input is not a
            float ``[T, d_model]``.
    """

    def __init__(self, d_model: int, num_experts: int, *, bias: bool = False) -> None:
        super().__init__()
        self.d_model = require_count("d_model", d_model)
        self.num_experts = require_count("num_experts", num_experts)
        self.gate = nn.Linear(d_model, num_experts, bias=bias)

    def forward(self, x: Tensor) -> Routing:
        """Route ``x`` ``[T, d_model]``."""
        require_matrix("x", x, self.d_model)
        return self.route(self.gate(x))

    def route(self, router_logits: Tensor) -> Routing:
        """The table for ``router_logits`` ``[T, E]``; float32 unless given float64."""
        if router_logits.dtype != torch.float64:
            router_logits = router_logits.float()
        probs = router_logits.softmax(dim=-1)  # [T, E]
        num_tokens, num_experts = probs.shape
        tokens = torch.arange(num_tokens, device=probs.device)
        experts = torch.arange(num_experts, device=probs.device)
        token_index = tokens.repeat_interleave(num_experts)  # [T*E]
        return Routing(
            token_index=token_index,
            expert_index=experts.repeat(num_tokens),
            combine_weights=probs.flatten(),
            kept=torch.ones_like(token_index, dtype=torch.bool),
            position_in_expert=token_index,  # every token waits in every queue
            router_logits=router_logits,
            router_probs=probs,
        )
