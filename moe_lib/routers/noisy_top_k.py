"""Noisy top-k gating: the first sparse router, with noise that balances it.

Shazeer et al. (2017), "Outrageously Large Neural Networks", section 2.1 and
appendix A. Equation numbers are the paper's.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lib.checks import require_matrix, require_top_k
from moe_lib.routers.choose import top_k_indices
from moe_lib.routers.router import Router, RouterGate
from moe_lib.routers.token_choice import token_choice_table
from moe_lib.routing import Routing


class NoisyRouter(Router):
    """Learned Gaussian noise on the gate's logits: on one level or on two.

    In training H(x)_i = (x W_g)_i + N(0, 1) softplus((x W_noise)_i)  (4); both
    matrices start at zero. A subclass has its `table` and its `expected_load`.

    Args:
        d_model, num_experts: as in `Router`.
    """

    def __init__(self, d_model: int, num_experts: int) -> None:
        super().__init__(d_model, num_experts)
        self.noise = RouterGate(d_model, self.gate_width, bias=False)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.noise.weight)

    def forward(
        self,
        x: Tensor,
        token_mask: Tensor | None = None,
        token_ids: Tensor | None = None,
    ) -> Routing:
        """Route ``x`` ``[T, d_model]``; the arguments are `Router`'s."""
        require_matrix("x", x, self.d_model)
        clean = self.gate(x)
        if not self.training:
            return self.route(clean, token_mask)
        spread = F.softplus(self.noise(x))
        noisy = clean + torch.randn_like(clean) * spread  # (4)
        routing = self.route(clean, token_mask, noisy_logits=noisy)
        load = self.expected_load(
            clean, noisy, spread, routing.expert_index, token_mask
        )
        return dataclasses.replace(routing, expected_load=load)

    def expected_load(
        self,
        clean: Tensor,
        noisy: Tensor,
        spread: Tensor,
        expert_index: Tensor,
        token_mask: Tensor | None,
    ) -> Tensor:
        """``[E]``, how many tokens each expert would get with other noise.

        Args:
            clean, noisy, spread: ``[T, gate_width]``, x W_g, H(x) and the noise's
                standard deviation.
            expert_index: ``[A]`` int64, as in the table.
            token_mask: ``[T]`` bool; padding counts in nothing.
        """
        raise NotImplementedError


class NoisyTopKRouter(NoisyRouter):
    """Top-k of logits with learned Gaussian noise: A = T * k rows, none dropped.

    In training H(x)_i = (x W_g)_i + N(0, 1) softplus((x W_noise)_i)    (4)
    and everywhere G(x) = softmax(KeepTopK(H(x), k))                    (3, 5).

    Both matrices start at zero: no signal and some noise (softplus(0) = ln 2), so
    the first batches are spread evenly. In eval mode there is no noise.
    ``expected_load`` of the table is equation 10 in training; in eval mode, and for
    logits without known noise, it is the counted demand, without gradient.

    Args:
        d_model, num_experts: as in `Router`.
        top_k: k; with 1 the weight is always 1 and the router learns from its losses
            alone.

    Raises:
        ValueError: ``top_k`` > ``num_experts``, and as in `Router`.
    """

    def __init__(self, d_model: int, num_experts: int, *, top_k: int = 2) -> None:
        super().__init__(d_model, num_experts)
        self.top_k = require_top_k(top_k, "num_experts", num_experts)

    def expected_load(
        self,
        clean: Tensor,
        noisy: Tensor,
        spread: Tensor,
        expert_index: Tensor,
        token_mask: Tensor | None,
    ) -> Tensor:
        """Load(X)_i = sum over x of P(x, i)  (10), ``[E]``."""
        chosen = expert_index.view(-1, self.top_k)
        stays = probability_in_top_k(clean, noisy, spread, chosen)
        if token_mask is not None:
            stays = stays.where(token_mask.unsqueeze(1), 0.0)
        return stays.sum(dim=0)

    def table(
        self, router_logits: Tensor, noisy_logits: Tensor, token_mask: Tensor | None
    ) -> Routing:
        chosen, weights = keep_top_k(noisy_logits, self.top_k)  # [T, k]
        probs = router_logits.softmax(dim=1)
        routing = token_choice_table(chosen, weights, router_logits, probs, token_mask)
        demand = routing.demand_per_expert.to(probs.dtype)
        return dataclasses.replace(routing, expected_load=demand)


def keep_top_k(noisy_logits: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """Equations 3 and 5: the chosen indices and their softmax, both ``[..., k]``."""
    chosen = top_k_indices(noisy_logits, top_k)
    return chosen, noisy_logits.gather(-1, chosen).softmax(dim=-1)


def probability_in_top_k(
    clean: Tensor, noisy: Tensor, spread: Tensor, chosen: Tensor
) -> Tensor:
    """P(x, i) of equations 8 and 9, ``[..., E]``: would i be chosen with fresh noise?

    Only i's own noise is drawn anew; i is then among the k if it beats the k-th
    largest of the others:
    P(x, i) = Phi((clean_i - kth_excluding(noisy, k, i)) / spread_i).

    Args:
        clean, noisy, spread: ``[..., E]``, x W_g, H(x) and the noise's deviation.
        chosen: ``[..., k]`` int64, the k largest of ``noisy``, largest first.
    """
    if chosen.shape[-1] == clean.shape[-1]:  # k = E: nobody can be left out
        return torch.ones_like(clean)
    weakest = noisy.gather(-1, chosen[..., -1:])  # the k-th largest
    runner_up = noisy.scatter(-1, chosen, -torch.inf).amax(dim=-1, keepdim=True)
    is_chosen = torch.zeros_like(noisy, dtype=torch.bool).scatter(-1, chosen, True)
    kth_excluding = torch.where(is_chosen, runner_up, weakest)
    spread = spread.clamp(min=torch.finfo(spread.dtype).eps)  # softplus can reach 0
    return torch.special.ndtr((clean - kth_excluding) / spread)
