"""What a router in float32 costs a model in bf16: time, memory, and nothing sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import quantiles

import torch
from torch import Tensor
from torch.nn import functional as F

from moe_lib.checks import require_count
from moe_lib.course.precision import Probe
from moe_lib.course.table import Table


def route_in_bfloat16(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and expert, ``[T]`` each, of bf16 ``x`` and ``weight``, all in bf16."""
    return F.linear(x, weight).softmax(dim=1).max(dim=1)


def route_in_float32(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The same with everything but the arguments and the weight in float32."""
    best, expert = F.linear(x.float(), weight.float()).softmax(dim=1).max(dim=1)
    return best.to(x.dtype), expert


def island_cost(seen: Probe, repeats: int = 50) -> Table:
    """Time and bytes of routing the probe's tokens, with the island and without.

    Medians and quartiles of ``repeats`` calls, the two in turns.
    """
    require_count("repeats", repeats, minimum=2)
    x, weight = seen.x.bfloat16(), seen.weight.bfloat16()
    ways = {"all in bf16": route_in_bfloat16, "float32 inside": route_in_float32}
    taken = {name: [] for name in ways}
    with torch.inference_mode():
        for _ in range(repeats):
            for name, way in ways.items():
                taken[name].append(_microseconds(way, x, weight))
    tokens, experts = len(x), len(weight)
    sent = 2 * x.numel() * x.element_size()  # to an expert and back
    rows = [
        (name, _spread(taken[name]), f"{inside:,}", f"{sent:,}")
        for name, inside in zip(
            ways, (2 * tokens * experts, 4 * (x.numel() + tokens * experts)),
            strict=True,
        )
    ]  # fmt: skip
    head = ("router", "µs: median (quartiles)", "bytes inside", "bytes sent")
    return Table(head, rows, f"what the island costs {tokens:,} tokens")


def _microseconds(way: Callable, x: Tensor, weight: Tensor) -> float:
    start = time.perf_counter()
    way(x, weight)
    return 1e6 * (time.perf_counter() - start)


def _spread(values: list[float]) -> str:
    low, middle, high = quantiles(values, method="inclusive")
    return f"{middle:,.0f} ({low:,.0f} to {high:,.0f})"
