"""Losses on experts and on routings.

The three of 1991 take expert outputs ``[T, E, D]``, gates ``[T, E]`` (rows sum to
1) and targets ``[T, D]`` and return the mean over T of the paper's per-case loss.
Jacobs, Jordan, Nowlan and Hinton (1991), equations 1.1 to 1.3.
"""

from __future__ import annotations

import torch
from torch import Tensor


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
