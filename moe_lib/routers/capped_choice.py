"""Expert choice with a cap on the experts that serve one token.

Zhou et al. (2022), the entropy-regularised linear programme of capped expert choice.
"""

from __future__ import annotations

import torch
from torch import Tensor

STEP = 1.8  # over-relaxation; with 1, a cap equal to the average takes 1,000 rounds


def capped_assignment(
    scores: Tensor,
    slots: int,
    cap: int,
    *,
    real: Tensor | None = None,
    entropy_weight: float = 0.001,
    max_iterations: int = 100,
) -> Tensor:
    """The A that maximises ``<scores, A> + lambda H(A)``, ``[..., E, S]``.

    Each expert's row sums to ``slots``, each token's column to at most ``cap``, and
    0 <= A <= 1. H(A) = -sum A log A. The solution has the form
    A = min(1, exp(scores / lambda + u + v)) with a shift u for each row and v <= 0
    for each column. Rounds of Bregman projections find them in turn: u to give every
    row its sum, v to bring the columns that are too full down to the cap. The bound 1
    is part of both projections; as a third projection of its own, as in Dykstra's
    algorithm, it needs thousands of rounds where this needs a hundred. After
    that hundred the rows are exact, the columns within some hundredths of the cap and
    the value within a thousandth of the best.

    Args:
        scores: ``[..., E, S]`` float, S^T of the paper.
        slots, cap: C and b. With fewer than E * C / b real tokens the rows cannot be
            full; they then share what there is.
        real: ``[..., 1, S]`` bool or None, False for padding.
        entropy_weight: lambda; the smaller, the closer A is to zeros and ones.
        max_iterations: rounds.
    """
    if scores.numel() == 0:
        return scores
    num_experts, num_tokens = scores.shape[-2:]
    cap = min(cap, num_experts)
    energy = scores / entropy_weight
    row_sum = min(slots, cap * num_tokens / num_experts)
    if real is not None:
        energy = energy.masked_fill(~real, -1e30)
        room = cap * real.sum(dim=-1, keepdim=True) / num_experts
        row_sum = room.clamp(max=slots)
    column_shift = torch.zeros_like(energy[..., :1, :])
    for _ in range(max_iterations):
        row_shift = shift_to_sum(energy + column_shift, row_sum, slots)  # [..., E, 1]
        by_token = (energy + row_shift).transpose(-1, -2)
        wanted = shift_to_sum(by_token, cap, cap).transpose(-1, -2)  # [..., 1, S]
        column_shift = (column_shift + STEP * (wanted - column_shift)).clamp(max=0)
    row_shift = shift_to_sum(energy + column_shift, row_sum, slots)
    return (energy + row_shift + column_shift).clamp(max=0).exp()


def shift_to_sum(energy: Tensor, total: float | Tensor, most: int) -> Tensor:
    """The u of each row with ``sum_j min(1, exp(energy_j + u)) = total <= most``.

    If the m largest terms are cut to 1, the others must sum to total - m, which gives
    u; the right m < most is the smallest that leaves no other term above 1.
    """
    largest, index = energy.topk(most, dim=-1)
    rest = energy.scatter(-1, index, -torch.inf).logsumexp(dim=-1, keepdim=True)
    others = torch.cat([largest, rest], dim=-1).flip(-1).logcumsumexp(dim=-1).flip(-1)
    cut = torch.arange(most, device=energy.device)
    left = (total - cut).clamp(min=0).to(energy.dtype)
    shift = left.log() - others[..., :-1]  # of the term m and all below, for each m
    fits = (largest + shift <= 0).to(torch.int8)
    return shift.gather(-1, fits.argmax(dim=-1, keepdim=True))
