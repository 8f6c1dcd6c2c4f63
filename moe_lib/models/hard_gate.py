"""Learning a gate that picks one expert by lot: four ways to a gradient.

Bengio, Léonard and Courville (2013), "Estimating or Propagating Gradients Through
Stochastic Neurons for Conditional Computation". A gate draws one expert z with
probability p_z, and only that expert answers: o_z. The loss to be lowered is the
expected one, sum_e p_e ||d - o_e||^2 (equation 1.2 of 1991), but the draw itself has
no derivative.

Shapes, everywhere: logits ``[..., T, E]``, outputs ``[..., T, E, D]``, targets
``[..., T, D]``; leading dimensions are independent repetitions. Each function returns
a surrogate ``[..., T]``: its gradient is the estimate, its value means nothing (save
that of `enumerated` and `soft`, which are losses).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Surrogate = Callable[[Tensor, Tensor, Tensor, torch.Generator], Tensor]


def enumerated(
    logits: Tensor, outputs: Tensor, targets: Tensor, generator: torch.Generator
) -> Tensor:
    """The exact expected loss. It runs every expert: what one can not afford."""
    errors = (targets.unsqueeze(-2) - outputs).square().sum(dim=-1)  # [..., T, E]
    return (logits.softmax(dim=-1) * errors).sum(dim=-1)


def reinforce(
    logits: Tensor, outputs: Tensor, targets: Tensor, generator: torch.Generator
) -> Tensor:
    """Williams (1992): loss of the drawn expert times the gradient of log p_z.

    Unbiased; runs one expert per case.
    """
    return _score_function(logits, outputs, targets, generator, with_baseline=False)


def reinforce_with_baseline(
    logits: Tensor, outputs: Tensor, targets: Tensor, generator: torch.Generator
) -> Tensor:
    """REINFORCE on the loss less the mean loss of the other cases of the batch.

    The baseline does not depend on a case's own draw, so it stays unbiased; T >= 2.
    """
    return _score_function(logits, outputs, targets, generator, with_baseline=True)


def straight_through(
    logits: Tensor, outputs: Tensor, targets: Tensor, generator: torch.Generator
) -> Tensor:
    """Forward the draw, backward as if it had been the probabilities.

    Biased: it takes the loss for a straight line between the experts' outputs.
    """
    probs = logits.softmax(dim=-1)
    hard = draw_experts(logits, generator)
    weights = hard + probs - probs.detach()  # value hard, gradient that of probs
    answer = (weights.unsqueeze(-1) * outputs).sum(dim=-2)  # [..., T, D]
    return (targets - answer).square().sum(dim=-1)


def soft(
    logits: Tensor, outputs: Tensor, targets: Tensor, generator: torch.Generator
) -> Tensor:
    """No draw: the blend of all experts and its own loss (equation 1.1 of 1991)."""
    answer = (logits.softmax(dim=-1).unsqueeze(-1) * outputs).sum(dim=-2)
    return (targets - answer).square().sum(dim=-1)


ESTIMATORS: dict[str, Surrogate] = {
    "REINFORCE": reinforce,
    "REINFORCE, baseline": reinforce_with_baseline,
    "straight-through": straight_through,
    "soft gate": soft,
}


def draw_experts(logits: Tensor, generator: torch.Generator) -> Tensor:
    """One expert per case, drawn from the softmax: one-hot, like ``logits``."""
    uniform = torch.rand(
        logits.shape, generator=generator, dtype=logits.dtype, device=logits.device
    )
    # Gumbel's trick: logits plus this noise have their maximum at z with prob. p_z
    noise = (
        -(-uniform.clamp_min(1e-300 if uniform.dtype == torch.float64 else 1e-30).log())
        .clamp_min(1e-30)
        .log()
    )
    winner = (logits.detach() + noise).argmax(dim=-1, keepdim=True)
    return torch.zeros_like(logits).scatter(-1, winner, 1.0)


def logit_gradient(
    surrogate: Surrogate,
    logits: Tensor,
    outputs: Tensor,
    targets: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """The estimated gradient of each case's loss for its logits, ``[..., T, E]``."""
    _check_shapes(logits, outputs, targets)
    logits = logits.detach().requires_grad_()
    value = surrogate(logits, outputs.detach(), targets, generator)
    return torch.autograd.grad(value.sum(), logits)[0]


def _score_function(
    logits: Tensor,
    outputs: Tensor,
    targets: Tensor,
    generator: torch.Generator,
    *,
    with_baseline: bool,
) -> Tensor:
    hard = draw_experts(logits, generator)
    log_p = (hard * logits.log_softmax(dim=-1)).sum(dim=-1)  # [..., T]
    answer = (hard.unsqueeze(-1) * outputs).sum(dim=-2)
    loss = (targets - answer).square().sum(dim=-1)  # [..., T]
    reward = loss.detach()
    if with_baseline:
        cases = reward.shape[-1]
        if cases < 2:
            raise ValueError("a baseline needs other cases: give a batch of 2 or more")
        reward = reward - (reward.sum(dim=-1, keepdim=True) - reward) / (cases - 1)
    return reward * log_p + loss  # the second term teaches the drawn expert


def _check_shapes(logits: Tensor, outputs: Tensor, targets: Tensor) -> None:
    fits = (
        logits.ndim >= 2
        and outputs.shape[:-1] == logits.shape
        and targets.shape == torch.Size([*logits.shape[:-1], outputs.shape[-1]])
    )
    if not fits:
        raise ValueError(
            f"logits {list(logits.shape)}, outputs {list(outputs.shape)} and targets"
            f" {list(targets.shape)} do not fit: give [T, E], [T, E, D] and [T, D]"
        )
