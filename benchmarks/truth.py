"""What the first rows of an output must be: plain loops in float64, no library."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.shapes import Bank

ROWS = 32  # rows of the output that are compared


def expert(bank: Bank, e: int, x: Tensor) -> Tensor:
    """Expert e on ``x`` ``[..., d_model]``, in float64."""
    hidden = x @ bank.w_in[e].double()
    if bank.gated:
        hidden = F.silu(x @ bank.w_gate[e].double()) * hidden
    else:
        hidden = hidden.relu()
    return hidden @ bank.w_out[e].double()


def one_expert_each(bank: Bank, served_by: Tensor) -> Tensor:
    """Row t of x through expert ``served_by[t]``, ``[ROWS, d_model]``."""
    one = torch.ones(len(served_by), 1)
    return weighted(bank, served_by.unsqueeze(1), one)


def weighted(bank: Bank, expert_index: Tensor, weights: Tensor) -> Tensor:
    """``sum_j weights[t, j] * expert_{expert_index[t, j]}(x[t])``, ``[ROWS, d]``."""
    x = bank.x[:ROWS].double()
    y = torch.zeros_like(x)
    for t, (chosen, shares) in enumerate(rows(expert_index, weights)):
        for e, weight in zip(chosen, shares, strict=True):
            if weight:
                y[t] += weight * expert(bank, e, x[t])
    return y


def rows(expert_index: Tensor, weights: Tensor) -> Iterable[tuple[list, list]]:
    return zip(expert_index[:ROWS].tolist(), weights[:ROWS].tolist(), strict=True)


def logits(bank: Bank) -> Tensor:
    return bank.x.float() @ bank.gate.float().T


def top_k(bank: Bank) -> Tensor:
    """Mixtral: the softmax over the k chosen logits."""
    chosen = logits(bank).topk(bank.shape.top_k)
    return weighted(bank, chosen.indices, chosen.values.softmax(-1))


def switch(bank: Bank) -> Tensor:
    """Switch without capacity: the top-1 probability, not renormalised."""
    chosen = logits(bank).softmax(-1).topk(1)
    return weighted(bank, chosen.indices, chosen.values)


def top_2_with_capacity(bank: Bank, group_size: int, capacity: int) -> Tensor:
    """GShard: g_i / (g_1 + g_2); all first choices take slots before any second.

    Only the first group of tokens is routed: the compared rows are in it.
    """
    chosen = logits(bank)[:group_size].softmax(-1).topk(2)
    weights = chosen.values / chosen.values.sum(-1, keepdim=True)
    in_order = chosen.indices.T.reshape(-1)  # choice-major
    arrived = F.one_hot(in_order, bank.shape.num_experts).cumsum(0)
    slot = arrived.gather(1, in_order.unsqueeze(1)).view(2, -1).T  # from 1
    return weighted(bank, chosen.indices, weights * (slot <= capacity))
