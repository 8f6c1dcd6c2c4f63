"""What an expert knows: the mutual information of a routing and a label."""

from __future__ import annotations

import torch
from torch import Tensor


def mutual_information(gates: Tensor, label: Tensor, *, hard: bool = True) -> float:
    """I(expert; label) in nats: how much the expert's name tells about the label.

    0 when experts and labels are independent; at most the smaller of the two
    entropies. Estimated from counts, so a little above 0 by chance: about
    (E - 1)(L - 1) / (2T).

    Args:
        gates: ``[T, E]``, rows sum to 1. label: ``[T]`` int64, from 0.
        hard: count each row's largest gate only; else spread it over all experts.

    Raises:
        ValueError: shapes that do not fit, or no tokens.
    """
    p = joint_table(gates, label, hard=hard)  # [L, E]
    independent = p.sum(dim=1, keepdim=True) * p.sum(dim=0, keepdim=True)
    used = p > 0
    return (p[used] * (p[used] / independent[used]).log()).sum().item()


def joint_table(gates: Tensor, label: Tensor, *, hard: bool = True) -> Tensor:
    """The joint distribution of label and expert, ``[L, E]`` float64, sum 1.

    Args:
        gates, label, hard: as in `mutual_information`.

    Raises:
        ValueError: shapes that do not fit, or no tokens.
    """
    if gates.ndim != 2 or label.shape != gates.shape[:1] or len(label) == 0:
        raise ValueError(
            f"gates {list(gates.shape)} and label {list(label.shape)} do not fit:"
            " give [T, E] and [T] with T > 0"
        )
    gates = gates.detach().double()
    if hard:
        gates = torch.zeros_like(gates).scatter(1, gates.argmax(1, keepdim=True), 1.0)
    table = gates.new_zeros(int(label.max()) + 1, gates.shape[1])
    return table.index_add(0, label, gates) / len(label)
