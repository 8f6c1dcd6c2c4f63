"""The k largest of each row, ties to the lowest index.

`torch.topk` promises no order among equal values, and a gate that starts at zero
(2017) makes nothing but equal values.
"""

from __future__ import annotations

import torch
from torch import Tensor


def top_k_indices(scores: Tensor, top_k: int) -> Tensor:
    """Indices ``[..., k]`` int64 of the k largest, largest first.

    Args:
        scores: ``[..., N]`` float32 or float64, finite. No gradient passes; gather
            the values with the indices where one is wanted.
        top_k: k, at most N.
    """
    scores = scores.detach()
    if 1 <= top_k <= 4:  # as fast as torch.topk or faster
        return _repeated_max(scores, top_k)
    if scores.dtype == torch.float64:
        return scores.sort(dim=-1, descending=True, stable=True).indices[..., :top_k]
    return _top_k_of_keys(scores, top_k)


def _repeated_max(scores: Tensor, top_k: int) -> Tensor:
    chosen = [scores.max(dim=-1, keepdim=True).indices]  # documented: the first max
    for _ in range(top_k - 1):
        scores = scores.scatter(-1, chosen[-1], -torch.inf)
        chosen.append(scores.max(dim=-1, keepdim=True).indices)
    return torch.cat(chosen, dim=-1)


def _top_k_of_keys(scores: Tensor, top_k: int) -> Tensor:
    """Makes every score different first: score above, index below, in one int64."""
    last = scores.shape[-1] - 1
    bits = (scores + 0.0).view(torch.int32)  # + 0.0 turns -0.0 into 0.0
    ordered = bits ^ (bits >> 31 & 0x7FFFFFFF)  # whole numbers in the floats' order
    places = torch.arange(last, -1, -1, device=scores.device)  # low index wins
    keys = (ordered.to(torch.int64) << 32) + places
    return last - (keys.topk(top_k, dim=-1).values & 0xFFFFFFFF)
