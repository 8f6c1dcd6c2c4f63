"""The two fits inside an M-step: weighted least squares, and a gate's Newton step.

Jordan and Jacobs (1994), "Hierarchical Mixtures of Experts and the EM Algorithm":
given the responsibilities, experts and gates are ordinary statistics problems, one
each. Both functions here promise more than a good answer: never a worse one. That
is all a generalised EM needs for its likelihood never to fall.
"""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST_HALVINGS = 40


def with_bias(x: Tensor) -> Tensor:
    """``x`` ``[T, D]`` with a column of ones behind it, ``[T, D + 1]``."""
    return torch.cat([x, torch.ones_like(x[:, :1])], dim=1)


def weighted_least_squares(
    x: Tensor, y: Tensor, weight: Tensor, start: Tensor, *, ridge: float = 1e-10
) -> Tensor:
    """For each expert, the line that fits its share of the cases best.

    Minimises ``sum_t weight[t, k] ||y_t - U_k x_t||^2`` plus a tiny ridge that pulls
    towards ``start``, not towards 0: where an expert's cases say nothing, it stays
    where it was, and at the minimum the first sum can not be above its old value.

    Args:
        x: inputs ``[T, D]`` (bias column included). y: targets ``[T, O]``.
        weight: ``[T, K]``, at least 0. start: the old coefficients ``[K, O, D]``.
        ridge: strength, relative to the mean diagonal of each expert's system.

    Returns:
        Coefficients ``[K, O, D]``.
    """
    xx = torch.einsum("tk,td,te->kde", weight, x, x)  # [K, D, D]
    xy = torch.einsum("tk,td,to->kdo", weight, x, y)  # [K, D, O]
    scale = xx.diagonal(dim1=1, dim2=2).mean(dim=1).clamp_min(1e-30)  # [K]
    pull = (ridge * scale)[:, None, None]  # [K, 1, 1]
    eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    old = start.transpose(1, 2)  # [K, D, O]
    return torch.linalg.solve(xx + pull * eye, xy + pull * old).transpose(1, 2)


def gate_log_likelihood(x: Tensor, goal: Tensor, weight: Tensor, gate: Tensor):
    """``sum_t weight_t sum_k goal_tk log softmax(gate x_t)_k``, a 0-d tensor."""
    log_probs = (x @ gate.T).log_softmax(dim=1)  # [T, K]
    return (weight[:, None] * goal * log_probs).sum()


def newton_gate(
    x: Tensor, goal: Tensor, weight: Tensor, start: Tensor, *, steps: int = 1
) -> Tensor:
    """Fit a softmax gate to soft targets by damped Newton steps (= the paper's IRLS).

    Every step is halved until `gate_log_likelihood` does not fall. The damping holds
    the direction in which a softmax does not change (the same shift for all rows).

    Args:
        x: ``[T, D]`` (bias column included). goal: ``[T, K]``, rows sum to 1.
        weight: ``[T]``, at least 0. start: the old gate ``[K, D]``.

    Returns:
        The gate ``[K, D]``, at least as likely as ``start``.
    """
    gate, size = start, start.numel()
    value = gate_log_likelihood(x, goal, weight, gate)
    eye = torch.eye(size, dtype=x.dtype, device=x.device)
    for _ in range(steps):
        p = (x @ gate.T).softmax(dim=1)  # [T, K]
        slope = torch.einsum("t,tk,td->kd", weight, goal - p, x).reshape(size)
        # [K, D, K, D]: how the slope of gate row k changes with gate row l
        own = torch.einsum("t,tk,td,te->kde", weight, p, x, x)
        shared = torch.einsum("t,tk,tl,td,te->kdle", weight, p, p, x, x)
        curvature = (
            torch.einsum("kde,kl->kdle", own, eye[: len(gate), : len(gate)]) - shared
        ).reshape(size, size)
        damping = 1e-6 * curvature.diagonal().mean() + 1e-12
        step = torch.linalg.solve(curvature + damping * eye, slope).view_as(gate)
        if not torch.isfinite(step).all():
            break
        for _ in range(LARGEST_HALVINGS):
            trial = gate_log_likelihood(x, goal, weight, gate + step)
            if trial >= value:
                gate, value = gate + step, trial
                break
            step = step / 2
        else:
            break  # no step uphill is left
    return gate
