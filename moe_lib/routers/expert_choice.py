"""Expert choice: experts take their tokens, so every expert is exactly full.

Zhou et al. (2022), "Mixture-of-Experts with Expert Choice Routing"; equation numbers
are the paper's, the capped variant is its section on capped expert choice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.checks import require_count, require_positive
from moe_lib.routers.capped_choice import capped_assignment
from moe_lib.routers.choose import top_k_indices
from moe_lib.routers.router import Router
from moe_lib.routers.slots import SlotRule
from moe_lib.routing import Routing


class ExpertChoiceRouter(Router):
    """Every expert takes its C best tokens of each group: A = groups * E * C rows.

    With S tokens in a group C = min(S, ceil(capacity_factor * S / E)) (1), and a
    token is served by capacity_factor experts on average: by none, by one, or by up
    to all E. Scores are softmaxed over the experts; the weights are those scores, not
    renormalised per token (2). Rows stand by group, expert and rank. Padding is taken
    last, where nothing else is left, and not kept.

    The choice looks at all tokens of a group at once, later ones too: not for
    generating text token by token.

    Args:
        d_model, num_experts: as in `Router`.
        capacity_factor: c, experts for each token on average.
        eval_capacity_factor, group_size: as in `SlotRule`.
        max_experts_per_token: b, a cap on the experts that serve one token, or None;
            see `capped_assignment`. Where its solution leaves fractions (equal
            scores, first of all) rounding to C tokens may exceed the cap.
        entropy_weight: lambda of the capped programme.
        max_iterations: rounds of its solver.

    Raises:
        ValueError: an argument out of range; a cap below the capacity factor; T is
            not a multiple of ``group_size``.
    """

    def __init__(
        self,
        d_model: int,
        num_experts: int,
        *,
        capacity_factor: float = 2.0,
        eval_capacity_factor: float | None = None,
        group_size: int | None = None,
        max_experts_per_token: int | None = None,
        entropy_weight: float = 0.001,
        max_iterations: int = 100,
    ) -> None:
        super().__init__(d_model, num_experts)
        require_positive("capacity_factor", capacity_factor)
        self.slots = SlotRule(
            capacity_factor, eval_capacity_factor, group_size=group_size
        )
        self.max_experts_per_token = max_experts_per_token
        self.entropy_weight = require_positive("entropy_weight", entropy_weight)
        self.max_iterations = require_count("max_iterations", max_iterations)
        if max_experts_per_token is not None:
            cap = require_count("max_experts_per_token", max_experts_per_token)
            most = min(max(capacity_factor, eval_capacity_factor or 0), num_experts)
            if cap < most:
                raise ValueError(
                    f"max_experts_per_token={cap} but experts take {most} for each"
                    f" token on average: give a cap of at least {most}, or a smaller"
                    " capacity factor"
                )

    def table(
        self, router_logits: Tensor, noisy_logits: Tensor, token_mask: Tensor | None
    ) -> Routing:
        num_tokens, num_experts = router_logits.shape
        size = self.slots.tokens_in_group(num_tokens)  # S
        slots = self.slots.capacity(num_tokens, num_experts, 1, training=self.training)
        slots = min(size, slots)  # C
        groups = 1 if self.slots.group_size is None else num_tokens // size
        scores = noisy_logits.softmax(dim=1)
        per_expert = scores.view(groups, size, num_experts).transpose(1, 2)  # S^T
        real = None
        if token_mask is not None:
            real = token_mask.view(groups, 1, size)
        chosen = self._choose(per_expert, real, slots)  # [G, E, C], I of (2)
        weights = per_expert.gather(2, chosen)  # G of (2)
        kept = torch.ones_like(chosen, dtype=torch.bool)
        if real is not None:
            kept = real.expand_as(per_expert).gather(2, chosen)
        device = chosen.device
        first = torch.arange(groups, device=device).view(groups, 1, 1) * size
        experts = torch.arange(num_experts, device=device).view(1, num_experts, 1)
        rank = torch.arange(slots, device=device)
        return Routing(
            token_index=(first + chosen).flatten(),
            expert_index=experts.expand_as(chosen).flatten(),
            combine_weights=weights.where(kept, 0.0).flatten(),
            kept=kept.flatten(),
            position_in_expert=rank.expand_as(chosen).flatten(),
            router_logits=router_logits,
            router_probs=router_logits.softmax(dim=1),
            capacity=slots,
            group_size=self.slots.group_size,
            token_mask=token_mask,
        )

    def _choose(self, scores: Tensor, real: Tensor | None, slots: int) -> Tensor:
        """TopK(S^T, C), or TopK(A, C) where there is a cap; ``[G, E, C]``."""
        scores = scores.detach()
        if self.max_experts_per_token is not None:
            scores = capped_assignment(
                scores,
                slots,
                self.max_experts_per_token,
                real=real,
                entropy_weight=self.entropy_weight,
                max_iterations=self.max_iterations,
            )
        if real is not None:
            scores = scores.masked_fill(~real, -1.0)  # below any real token
        return top_k_indices(scores, slots)
