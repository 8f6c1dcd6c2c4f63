"""Losses on experts and on routings.

The three of 1991 take expert outputs ``[T, E, D]``, gates ``[T, E]`` (rows sum to
1) and targets ``[T, D]`` and return the mean over T of the paper's per-case loss.
Jacobs, Jordan, Nowlan and Hinton (1991), equations 1.1 to 1.3.

The others take the `Routing` of one layer, return a 0-d tensor, and leave padding out.
A model with several layers averages its layers' losses: one table over all layers
would hide that each of them is out of balance in its own way.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.routing import Routing


def cooperative_loss(outputs: Tensor, gates: Tensor, targets: Tensor) -> Tensor:
    """Equation 1.1, ``||d - sum_i p_i o_i||^2``: the experts repair one another."""
    _check_shapes(outputs, gates, targets)
    blend = (gates.unsqueeze(-1) * outputs).sum(dim=1)  # [T, D]
    return (targets - blend).square().sum(dim=-1).mean()


def competitive_loss(outputs: Tensor, gates: Tensor, targets: Tensor) -> Tensor:
    """Equation 1.2, ``sum_i p_i ||d - o_i||^2``: the error of an expert drawn by p."""
    _check_shapes(outputs, gates, targets)
    return (gates * squared_errors(outputs, targets)).sum(dim=-1).mean()


def mixture_likelihood_loss(outputs: Tensor, gates: Tensor, targets: Tensor) -> Tensor:
    """Equation 1.3, ``-log sum_i p_i exp(-||d - o_i||^2 / 2)``.

    The negative log-likelihood of a mixture of unit Gaussians, up to a constant.
    Note the half: its gradients are half the size of equation 1.2's.
    """
    _check_shapes(outputs, gates, targets)
    log_joint = gates.log() - 0.5 * squared_errors(outputs, targets)  # [T, E]
    return -log_joint.logsumexp(dim=-1).mean()


def squared_errors(outputs: Tensor, targets: Tensor) -> Tensor:
    """``||d - o_i||^2`` of each expert, ``[T, E]``."""
    return (targets.unsqueeze(1) - outputs).square().sum(dim=-1)


def responsibilities(outputs: Tensor, gates: Tensor, targets: Tensor) -> Tensor:
    """The posterior h_i of each expert having made the target, ``[T, E]``.

    h_i = p_i exp(-||d - o_i||^2 / 2) / sum_j p_j exp(-||d - o_j||^2 / 2): the
    weights in the gradient of equation 1.3 (the paper's 1.5).
    """
    _check_shapes(outputs, gates, targets)
    return (gates.log() - 0.5 * squared_errors(outputs, targets)).softmax(dim=-1)


def gradients_by_hand(
    name: str, outputs: Tensor, gates: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """The 1991 gradients, derived on paper.

    Args:
        name: "cooperative", "competitive" or "likelihood".

    Returns:
        The gradient of the mean loss with respect to the expert outputs
        ``[T, E, D]`` and to the gate's logits ``[T, E]`` (not to the gates).

    Raises:
        ValueError: an unknown name, or shapes that do not fit.
    """
    _check_shapes(outputs, gates, targets)
    p, error = gates.unsqueeze(-1), targets.unsqueeze(1) - outputs  # [T, E, 1 | D]
    if name == "cooperative":
        blend = (p * outputs).sum(dim=1, keepdim=True)
        residual = targets.unsqueeze(1) - blend  # [T, 1, D], shared by all experts
        d_outputs = -2 * p * residual
        pull = -2 * (residual * outputs).sum(dim=-1)  # [T, E]
        d_logits = gates * (pull - (gates * pull).sum(dim=-1, keepdim=True))
    elif name == "competitive":
        d_outputs = -2 * p * error
        own = error.square().sum(dim=-1)
        d_logits = gates * (own - (gates * own).sum(dim=-1, keepdim=True))
    elif name == "likelihood":
        h = responsibilities(outputs, gates, targets)
        d_outputs = -h.unsqueeze(-1) * error
        d_logits = gates - h
    else:
        known = "cooperative, competitive, likelihood"
        raise ValueError(f"loss {name!r} is unknown: choose one of {known}")
    return d_outputs / len(targets), d_logits / len(targets)


def _check_shapes(outputs: Tensor, gates: Tensor, targets: Tensor) -> None:
    fits = (
        outputs.ndim == 3
        and gates.shape == outputs.shape[:2]
        and targets.shape == torch.Size([outputs.shape[0], outputs.shape[2]])
    )
    if not fits:
        raise ValueError(
            f"outputs {list(outputs.shape)}, gates {list(gates.shape)} and targets"
            f" {list(targets.shape)} do not fit: give [T, E, D], [T, E] and [T, D]"
        )


def cv_squared(x: Tensor) -> Tensor:
    """The squared coefficient of variation, population variance / mean^2, 0-d.

    Of ``[E]`` importances or loads. 0 where all of ``x`` is 0.
    """
    x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
    smallest = torch.finfo(x.dtype).tiny
    return x.var(correction=0) / x.mean().square().clamp(min=smallest)


def importance_loss(routing: Routing) -> Tensor:
    """CV^2 of the experts' importance (Shazeer et al., 2017, equations 6 and 7).

    An expert's importance is the sum of its combine weights over the tokens.
    """
    return cv_squared(routing.dense().sum(dim=0))


def load_loss(routing: Routing) -> Tensor:
    """CV^2 of the smooth load estimate (Shazeer et al., 2017, equations 10 and 11).

    Raises:
        ValueError: the routing has no ``expected_load``.
    """
    if routing.expected_load is None:
        raise ValueError(
            "expected_load is None: take a NoisyTopKRouter or HierarchicalRouter, or"
            " load_balancing_loss(routing)"
        )
    return cv_squared(routing.expected_load)


def load_balancing_loss(routing: Routing) -> Tensor:
    """``E * sum_i f_i P_i`` of one layer: 1 at balance, E when one expert has all.

    Fedus, Zoph and Shazeer (2021), equations 4 to 6. f_i is the share of the rows of
    real tokens that asked for expert i, before dropping (so the k of top-k divides
    out); P_i is the mean router probability over real tokens. f is a count: the
    gradient flows through P alone. With groups, the mean over the groups that hold
    real tokens. E^2 times GShard's l_aux for top-1. No tokens: 0.
    """
    num_tokens, num_experts = routing.router_probs.shape
    size = max(1, routing.group_size or num_tokens)
    num_groups = num_tokens // size
    cell = routing.token_index // size * num_experts + routing.expert_index
    demand = cell.new_zeros(num_groups * num_experts)
    demand = demand.index_add(0, cell, routing.real_rows.to(torch.int64))
    demand = demand.view(num_groups, num_experts).to(routing.router_probs.dtype)
    real = _real_tokens(routing)  # [T]
    tokens = real.view(num_groups, size).sum(dim=1)
    probs = routing.router_probs.where(real.unsqueeze(1), 0.0)
    probs = probs.view(num_groups, size, num_experts).sum(dim=1)
    # one division, last: whole numbers stay exact, and balance is 1.0 to the bit
    asked = (demand.sum(dim=1) * tokens).clamp(min=1)
    by_group = num_experts * (demand * probs).sum(dim=1) / asked
    return by_group.sum() / (tokens > 0).sum().clamp(min=1)


def router_z_loss(routing: Routing) -> Tensor:
    """The mean over real tokens of ``logsumexp(router_logits)^2``; no tokens: 0.

    Zoph et al. (2022), "ST-MoE", equation 5. It keeps logits small, where rounding
    does little harm; at logits of 0 it is (ln E)^2, not 0.
    """
    real = _real_tokens(routing)
    squares = routing.router_logits.logsumexp(dim=1).square()
    return squares.where(real, 0.0).sum() / real.sum().clamp(min=1)


def _real_tokens(routing: Routing) -> Tensor:
    if routing.token_mask is not None:
        return routing.token_mask
    return torch.ones_like(routing.router_probs[:, 0], dtype=torch.bool)
