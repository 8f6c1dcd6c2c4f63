"""Arithmetic on lists of floats, in double precision."""

import math
from fractions import Fraction

Matrix = list[list[float]]


def log_sum_exp(values: list[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(v - top) for v in values))


def softmax(values: list[float]) -> list[float]:
    total = log_sum_exp(values)
    return [math.exp(v - total) for v in values]


def softplus(value: float) -> float:
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def normal_cdf(value: float) -> float:
    return 0.5 * math.erfc(-value / math.sqrt(2))


def best_first(values: list[float], count: int) -> list[int]:
    """The indices of the ``count`` largest values, largest first.

    Found one at a time, from the left, so that of equal values the first one wins.
    """
    taken: list[int] = []
    for _ in range(count):
        best = None
        for i, value in enumerate(values):
            if i not in taken and (best is None or value > values[best]):
                best = i
        taken.append(best)
    return taken


def cv_squared(values: list[float]) -> float:
    """Squared coefficient of variation, with the population variance."""
    mean = sum(values) / len(values)
    if mean == 0:
        return 0.0
    return sum((v - mean) ** 2 for v in values) / len(values) / mean**2


def ceil_exactly(factor: float, times: int, over: int) -> int:
    """``ceil(factor * times / over)`` for the decimal number that ``factor`` shows."""
    return math.ceil(Fraction(repr(factor)) * times / over)


def slots_per_expert(
    factor: float, top_k: int, tokens: int, experts: int, minimum: int = 1
) -> int:
    """Capacity of one expert for one group of ``tokens``, k counted in."""
    return max(minimum, ceil_exactly(factor, top_k * tokens, experts))
