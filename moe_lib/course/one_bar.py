"""From token choice to expert choice by one number, on the same probabilities.

The bar that a pair of token t and expert e has to reach moves from ``m_t``, the
probability of the token's k-th best expert, to ``theta_e``, that of the expert's C-th
best token: it is ``m_t^(1 - s) theta_e^s``. As many pairs as ever are taken, those that
are farthest above their bar.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from moe_lib.checks import require_count
from moe_lib.routers.choose import top_k_indices


@dataclass(frozen=True, eq=False)
class Choice:
    """Which pairs were taken, and which of them found a place.

    taken, kept: ``[T, E]`` bool. places: C, of each expert.
    """

    taken: Tensor
    kept: Tensor
    places: int

    @property
    def asked(self) -> Tensor:
        """``[E]`` int64: tokens that go to each expert, before the wall."""
        return self.taken.sum(dim=0)

    @property
    def load(self) -> Tensor:
        """``[E]`` int64: tokens that each expert serves."""
        return self.kept.sum(dim=0)

    @property
    def experts(self) -> Tensor:
        """``[T]`` int64: experts that serve each token."""
        return self.kept.sum(dim=1)

    @property
    def late(self) -> int:
        """Pairs that were taken and found no place."""
        return int((self.taken & ~self.kept).sum())

    @property
    def load_cv(self) -> float:
        """Coefficient of variation of the load; 0: all experts serve equally many."""
        load = self.load.double()
        return (load.std(correction=0) / load.mean()).item()


def one_bar(probs: Tensor, top_k: int, share: float) -> Choice:
    """Who is taken where the bar has gone ``share`` of the way to the experts.

    Every expert has C = min(T, ceil(k T / E)) places, for those that come first in the
    text. Equal probabilities count as larger where they stand first.

    Args:
        probs: ``[T, E]`` float64, above 0; T and E at least 1.
        top_k: k, at most E.
        share: s, 0 (token choice, top-k) to 1 (expert choice, capacity factor k).

    Raises:
        ValueError: an argument out of range.
    """
    num_tokens, num_experts = probs.shape
    if require_count("top_k", top_k) > num_experts:
        raise ValueError(f"top_k={top_k} but num_experts={num_experts}")
    if not 0 <= share <= 1:
        raise ValueError(f"share={share!r}: give a number from 0 to 1")
    places = min(num_tokens, math.ceil(top_k * num_tokens / num_experts))
    of_tokens = top_k_indices(probs, top_k)  # [T, k]
    of_experts = top_k_indices(probs.T.contiguous(), places).T  # [C, E]
    if share == 0:
        taken = torch.zeros_like(probs, dtype=torch.bool).scatter(1, of_tokens, True)
    elif share == 1:
        taken = torch.zeros_like(probs, dtype=torch.bool).scatter(0, of_experts, True)
    else:
        own = probs.gather(1, of_tokens[:, -1:])  # m, [T, 1]
        theirs = probs.gather(0, of_experts[-1:])  # theta, [1, E]
        above = probs.log() - (1 - share) * own.log() - share * theirs.log()
        first, last = top_k * num_tokens, places * num_experts  # pairs at the ends
        count = round((1 - share) * first + share * last)
        cells = top_k_indices(above.flatten(), count)
        taken = torch.zeros_like(probs, dtype=torch.bool).flatten()
        taken = taken.index_fill(0, cells, True).view_as(probs)
    return Choice(taken, taken & (taken.cumsum(dim=0) <= places), places)
