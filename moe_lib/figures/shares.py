"""Loads over training: shares of the experts, step by step, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from moe_lib.notation import letter
from moe_lib.routing import Routing

Loads = Tensor | Sequence[Routing]


def shares_of(name: str, loads: Loads) -> Tensor:
    """``[S, E]`` float64, rows that sum to 1 (to 0 where nobody is asked)."""
    if not isinstance(loads, Tensor):
        if not len(loads):
            raise ValueError(f"run {name!r} is empty: give a Routing for each step")
        loads = torch.stack([routing.demand_per_expert for routing in loads])
    loads = loads.detach().cpu().double()
    if loads.ndim != 2 or not loads.numel():
        raise ValueError(
            f"run {name!r} has shape {list(loads.shape)}: give loads [steps, experts]"
        )
    bad = ~(loads.isfinite() & (loads >= 0))
    if bad.any():
        cell = bad.nonzero()[0].tolist()
        raise ValueError(
            f"run {name!r} has {loads[tuple(cell)].item()} at {cell}: give counts or"
            " shares of at least 0"
        )
    return loads / loads.sum(dim=1, keepdim=True).clamp(min=1e-300)


def checked_steps(
    steps: Sequence[int] | None, tables: Mapping[str, Tensor]
) -> list[int]:
    lengths = sorted({len(shares) for shares in tables.values()})
    if len(lengths) != 1:
        raise ValueError(
            f"runs have {lengths or 'no'} steps: give at least one run, and all of"
            " the same length"
        )
    steps = list(range(lengths[0])) if steps is None else [int(s) for s in steps]
    if len(steps) != lengths[0]:
        raise ValueError(
            f"{len(steps)} steps for runs of {lengths[0]}: give one for each row"
        )
    if late := [b for a, b in pairwise(steps) if a >= b]:
        raise ValueError(f"steps has {late[0]} too late: give them in rising order")
    return steps


def load_words(share: Tensor) -> str:
    """A load ``[E]`` in a line: coefficient of variation, and the busiest expert."""
    mean = float(share.mean())
    if not mean:
        return "nobody is asked"
    cv, busiest = float(share.std(correction=0)) / mean, int(share.argmax())
    times = float(share[busiest]) / mean
    return f"CV {cv:.2f}, busiest {letter(busiest)}: {times:.1f} × fair"
