"""Exploration of a Switch router: not always the expert that looks best.

The four ways of Fedus et al. (2021), appendix C: the best expert (`SwitchRouter` as it
is), one drawn from the softmax, the best for an input with holes, and the best for an
input that jitters (`SwitchRouter` with ``jitter_noise``). In eval mode all are equal.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lib.checks import require_choice, require_matrix, require_share
from moe_lib.course.switch_setup import Setup
from moe_lib.routers import SwitchRouter
from moe_lib.routers.router import router_precision
from moe_lib.routing import Routing
from moe_lib.running import evaluating

JITTER = 0.01  # the paper's epsilon
INPUT_DROPOUT = 0.1
WAYS = ("argmax", "sampled", "input dropout", "jitter")


class SampledRouter(SwitchRouter):
    """In training a token's expert is drawn from the softmax; p stays the weight.

    Arguments as `SwitchRouter`; draws from torch's global generator.
    """

    def table(
        self, router_logits: Tensor, noisy_logits: Tensor, token_mask: Tensor | None
    ) -> Routing:
        if not self.training or not len(noisy_logits):
            return super().table(router_logits, noisy_logits, token_mask)
        chosen = noisy_logits.detach().softmax(dim=1).multinomial(1)  # [T, 1]
        return self.table_of(chosen, router_logits, noisy_logits, token_mask)


class InputDropoutRouter(SwitchRouter):
    """In training the router, not the experts, sees an input with holes.

    Args:
        d_model, num_experts: as in `SwitchRouter`, like all that is not here.
        input_dropout: share of the input's numbers set to zero; the others grow.

    Raises:
        ValueError: an argument out of range.
    """

    def __init__(
        self,
        d_model: int,
        num_experts: int,
        *,
        input_dropout: float = INPUT_DROPOUT,
        **switch: object,
    ) -> None:
        super().__init__(d_model, num_experts, **switch)
        self.input_dropout = require_share("input_dropout", input_dropout)

    def forward(
        self,
        x: Tensor,
        token_mask: Tensor | None = None,
        token_ids: Tensor | None = None,
    ) -> Routing:
        """Route ``x`` ``[T, d_model]``; the arguments are `Router`'s."""
        if not self.training:
            return super().forward(x, token_mask)
        require_matrix("x", x, self.d_model)
        holes = F.dropout(router_precision(x), self.input_dropout)
        return self.route(self.gate(x), token_mask, noisy_logits=self.gate(holes))


def exploring_router(setup: Setup, way: str) -> nn.Module:
    """The Switch router of a setup that explores in one of the `WAYS`.

    Raises:
        ValueError: an unknown way.
    """
    require_choice("way", way, WAYS)
    if way == "argmax":
        return setup.make_router()
    if way == "jitter":
        return setup.but(jitter_noise=JITTER).make_router()
    make = SampledRouter if way == "sampled" else InputDropoutRouter
    return make(setup.d_model, setup.num_experts, **capacities(setup))


def capacities(setup: Setup) -> dict[str, float | None]:
    """Both capacity factors, as the setup's own router takes them."""
    return {
        "capacity_factor": setup.capacity_factor,
        "eval_capacity_factor": setup.eval_capacity_factor or setup.num_experts,
    }


def sent_elsewhere(router: SwitchRouter, x: Tensor) -> float:
    """The share of tokens ``x`` ``[T, d_model]`` that exploring sends elsewhere.

    In training mode, against the best expert of each in eval mode.
    """
    with evaluating(router):
        best = router(x).expert_index
    mode = router.training
    try:
        with torch.no_grad():
            explored = router.train()(x).expert_index
    finally:
        router.train(mode)
    return (explored != best).double().mean().item()
