"""How many choices find their expert full: by probability, and by routing.

A token chooses expert j first with probability q_j, and second among the others in
proportion to q. Then an expert's queue in a group of S tokens is binomial, and what
stands beyond C is its expected excess. Gates with Gumbel noise draw such choices, so
the same shares can be routed and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moe_lib.checks import require_count
from moe_lib.routers import GShardRouter

EXPERTS, TOKENS = 8, 1024
FACTORS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)


@dataclass(frozen=True, eq=False)
class Curve:
    """A share against some x: by probability, and measured.

    x, expected: ``[X]`` float64. measured: ``[X, seeds]`` float64.
    """

    name: str
    x: Tensor
    expected: Tensor
    measured: Tensor


def expected_excess(trials: int, p: float, capacity: int) -> float:
    """``E[max(0, N - C)]`` of N ~ Binomial(trials, p), summed exactly."""
    if capacity >= trials:
        return 0.0
    n = torch.arange(capacity + 1, trials + 1, dtype=torch.float64)
    chance = torch.tensor(min(p, 1.0), dtype=torch.float64)  # a sum may be above 1
    binomial = torch.distributions.Binomial(trials, chance)
    return ((n - capacity) * binomial.log_prob(n).exp()).sum().item()


def chances(shares: Tensor) -> tuple[Tensor, Tensor]:
    """The chance of each expert to be a token's first, and to be its second choice.

    ``shares``: q ``[E]``, which sum to 1. P(second = j) sums q_i q_j / (1 - q_i) over
    the other experts i.
    """
    q = shares.double()
    given = q / (1 - q)
    return q, q * (given.sum() - given)


def expected_drops(
    shares: Tensor, size: int, capacity: int, sent: float = 1.0
) -> tuple[float, float]:
    """The shares of first and of second choices that come too late.

    Args:
        size: S, tokens in a group. capacity: C, places of an expert in a group.
        sent: the chance that a second choice joins the queue at all; the second share
            is one of those that do.
    """
    first, second = chances(shares)
    late = [sum(expected_excess(size, p, capacity) for p in chance.tolist())
            for chance in (first, first + sent * second)]  # fmt: skip
    return late[0] / size, (late[1] - late[0]) / (sent * size)


def uneven(steepness: float, num_experts: int = EXPERTS) -> Tensor:
    """Shares ``[E]`` that fall by equal ratios from A on; 0 gives equal shares."""
    steps = torch.linspace(0, -steepness, num_experts, dtype=torch.float64)
    return steps.softmax(dim=0)


def draw_logits(shares: Tensor, num_tokens: int, draw: torch.Generator) -> Tensor:
    """Logits ``[T, E]`` float64 whose largest and next are drawn by ``shares``."""
    uniform = torch.rand(num_tokens, len(shares), generator=draw, dtype=torch.float64)
    gumbel = -(-uniform.clamp(min=1e-12).log()).log()
    return shares.double().log() + gumbel


def routed_drops(
    shares: Tensor, groups: int, factor: float, seeds: int, tokens: int = TOKENS
) -> Tensor:
    """The share of all choices that GShard's router drops, without lottery, [seeds]."""
    router = GShardRouter(
        1, len(shares), capacity_factor=factor, group_size=tokens // groups,
        second_expert_policy="all",
    )  # fmt: skip
    logits = (
        draw_logits(shares, tokens, torch.Generator().manual_seed(seed))
        for seed in range(seeds)
    )
    return torch.stack([router.route(table).drop_fraction for table in logits])


def drops_by_factor(
    groups: Sequence[int] = (1, 4, 16, 64),
    factors: Sequence[float] = FACTORS,
    *,
    seeds: int = 12,
) -> list[Curve]:
    """Balanced gates: a curve over the capacity factor for each number of groups."""
    require_count("seeds", seeds, minimum=2)
    shares = uneven(0.0)
    curves = []
    for count in groups:
        points = [_point(shares, count, factor, seeds) for factor in factors]
        name = f"{count} group{'s' if count > 1 else ''} of {TOKENS // count:,}"
        curves.append(_curve(name, list(factors), points))
    return curves


def drops_by_balance(
    factors: Sequence[float] = (1.0, 1.25, 2.0),
    steepness: Sequence[float] = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0),
    *,
    groups: int = 4,
    seeds: int = 12,
) -> list[Curve]:
    """Uneven gates: over the busiest expert's share of first choices, times E."""
    require_count("seeds", seeds, minimum=2)
    tables = [uneven(step) for step in steepness]
    busiest = [EXPERTS * shares.max().item() for shares in tables]
    return [
        _curve(
            f"capacity factor {factor:g}",
            busiest,
            [_point(shares, groups, factor, seeds) for shares in tables],
        )
        for factor in factors
    ]


def _point(
    shares: Tensor, groups: int, factor: float, seeds: int
) -> tuple[float, Tensor]:
    size = TOKENS // groups
    capacity = GShardRouter(1, len(shares), capacity_factor=factor).slots.capacity(
        size, len(shares), 2, training=True
    )
    expected = sum(expected_drops(shares, size, capacity)) / 2
    return expected, routed_drops(shares, groups, factor, seeds)


def _curve(name: str, x: list[float], points: list[tuple[float, Tensor]]) -> Curve:
    expected, measured = zip(*points, strict=True)
    x, expected = (torch.tensor(v, dtype=torch.float64) for v in (x, expected))
    return Curve(name, x, expected, torch.stack(measured))
