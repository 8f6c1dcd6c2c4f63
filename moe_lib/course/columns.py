"""What a measurement takes and gives: plain values in, a column for each name out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from moe_lib.course.stored_results import StoredResult

Config = Mapping[str, Any]
#: Name -> ``[S]``, a value for each seed; ``[S, C]`` at C checkpoints or the like.
Columns = Mapping[str, Tensor] | StoredResult


def column(values: Iterable[float]) -> Tensor:
    """A value for each seed, ``[S]`` float64."""
    return torch.tensor(list(values), dtype=torch.float64)


def by_seed(
    seeds: Sequence[int], columns_of: Callable[[int], Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """``columns_of(seed)`` of all seeds, each column stacked to ``[S, ...]``."""
    found = [columns_of(seed) for seed in seeds]
    return {name: torch.stack([one[name] for one in found]) for name in found[0]}
