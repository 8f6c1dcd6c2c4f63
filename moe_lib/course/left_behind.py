"""No-Token-Left-Behind: whoever finds an expert full asks the next best one.

Fedus et al. (2021), appendix B.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from moe_lib.losses import load_balancing_loss
from moe_lib.routers import SwitchRouter
from moe_lib.routers.choose import top_k_indices
from moe_lib.routers.slots import arrival_positions
from moe_lib.routing import Routing


class NoTokenLeftBehindRouter(SwitchRouter):
    """Top-1 routing that sends overflow on: second choice, third, up to the last.

    A token is dropped only where no expert of its group has a place left: never from
    a capacity factor of 1 on. The weight is the probability of the expert that really
    takes the token.

    The table names the expert of each token in the end. `load_balancing_loss` would
    count those, and find balance where there is none: take `first_choice_loss`.

    Args:
        d_model, num_experts, capacity_factor, eval_capacity_factor, group_size: as in
            `SwitchRouter`.
    """

    def __init__(
        self,
        d_model: int,
        num_experts: int,
        *,
        capacity_factor: float | None = 1.0,
        eval_capacity_factor: float | None = None,
        group_size: int | None = None,
    ) -> None:
        super().__init__(
            d_model,
            num_experts,
            capacity_factor=capacity_factor,
            eval_capacity_factor=eval_capacity_factor,
            group_size=group_size,
        )

    def table(
        self, router_logits: Tensor, noisy_logits: Tensor, token_mask: Tensor | None
    ) -> Routing:
        capacity = self.slots.capacity(
            len(noisy_logits), self.num_experts, self.top_k, training=self.training
        )
        ranked = top_k_indices(noisy_logits, self.num_experts)  # [T, E], best first
        late = torch.ones_like(ranked[:, 0], dtype=torch.bool)
        place = ranked[:, 0]
        for asked in ranked.unbind(1):  # the first choices, the second ones, ...
            place = asked.where(late, place)
            queue = arrival_positions(
                place.unsqueeze(1),
                self.num_experts,
                group_size=self.slots.group_size,
                token_mask=token_mask,
                priority=(~late).float(),  # who has a place keeps it
            )[:, 0]
            late = torch.zeros_like(late) if capacity is None else queue >= capacity
            late = late if token_mask is None else late & token_mask
            if not late.any():
                break
        chosen = ranked[:, 0].where(late, place).unsqueeze(1)  # in vain: the first
        return self.table_of(chosen, router_logits, noisy_logits, token_mask)


def first_choice_loss(routing: Routing) -> Tensor:
    """`load_balancing_loss` of what tokens wanted, wherever they were sent in the end.

    Of a Switch table without noise it is the same.
    """
    wanted = top_k_indices(routing.router_probs, 1)[:, 0]
    return load_balancing_loss(replace(routing, expert_index=wanted))
