"""Paired timing: every candidate runs once a round, in rotating order."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator

import torch

Step = Callable[[], object]
Timer = Callable[[Step, int], float]  # (step, repeats) -> seconds of one

SHORTEST = 0.03  # seconds; a faster step is repeated inside one measurement


def clock_name(device: str, threads: int) -> str:
    if device == "cuda":
        return "CUDA events"
    return "process CPU time" if threads == 1 else "wall clock"


def timer(device: str, threads: int) -> Timer:
    if device == "cuda":
        return cuda_seconds
    clock = time.process_time if threads == 1 else time.perf_counter

    def seconds(step: Step, repeats: int) -> float:
        start = clock()
        for _ in range(repeats):
            step()
        return (clock() - start) / repeats

    return seconds


def cuda_seconds(step: Step, repeats: int) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    for _ in range(repeats):
        step()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000 / repeats


def measured_rounds(
    steps: dict[str, Step], rounds: int, seconds: Timer
) -> Iterator[dict[str, float]]:
    """Seconds of every step, round by round, after all of them have been warmed up."""
    names = list(steps)
    gc.collect()
    gc.disable()
    try:
        repeats = {}
        for name in names:
            seconds(steps[name], 1)  # first calls choose kernels and fill the heap
            once = seconds(steps[name], 1)
            repeats[name] = max(1, math.ceil(SHORTEST / max(once, 1e-6)))
        for turn in range(rounds):
            first = turn % max(1, len(names))
            order = names[first:] + names[:first]
            yield {name: seconds(steps[name], repeats[name]) for name in order}
    finally:
        gc.enable()


def ratios(over: list[float], under: list[float]) -> list[float]:
    """The ratio of each round; noise that hits a whole round cancels."""
    return [a / b for a, b in zip(over, under, strict=True)]


def median_and_spread(values: list[float]) -> tuple[float, float, float]:
    """The median, and the quartiles (the extremes of fewer than 4 values)."""
    if len(values) < 4:
        return statistics.median(values), min(values), max(values)
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high
