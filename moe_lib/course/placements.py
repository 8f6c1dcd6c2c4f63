"""Which expert on which device: co-activation, what crosses, and the best placement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import torch
from torch import Tensor

from moe_lib.checks import require_count
from moe_lib.routers import TopKRouter
from moe_lib.routing import Routing


def used_together(routing: Routing) -> Tensor:
    """``[E, E]`` int64: tokens that both experts served; the diagonal is 0."""
    served = (routing.dense() != 0).double()  # [T, E]
    together = (served.T @ served).round().long()
    return together.fill_diagonal_(0)


def crossings(together: Tensor, device: Tensor) -> int:
    """Tokens, over all pairs of experts, whose two experts live apart.

    A token of k = 2 visits one device, or with a crossing two.

    Args:
        together: ``[E, E]``, symmetric. device: ``[E]``, of each expert.
    """
    apart = device[:, None] != device
    return int((together * apart).sum()) // 2


def placements(num_experts: int, devices: int) -> Tensor:
    """All ways to put experts on devices in equal numbers, ``[N, E]`` int64.

    Once each: devices are numbered by their first expert. 35 for 8 experts on 2
    devices, 105 on 4.

    Raises:
        ValueError: unequal numbers.
    """
    require_count("devices", devices)
    if require_count("num_experts", num_experts) % devices:
        raise ValueError(
            f"num_experts={num_experts} on {devices} devices: give a multiple"
        )
    return torch.tensor(_placements(num_experts, devices))


@cache
def _placements(num_experts: int, devices: int) -> list[list[int]]:
    room = num_experts // devices

    def grown(start: list[int]) -> Iterator[list[int]]:
        if len(start) == num_experts:
            yield start
            return
        opened = len(set(start))
        for device in range(min(opened + 1, devices)):
            if start.count(device) < room:
                yield from grown([*start, device])

    return list(grown([]))


def all_crossings(together: Tensor, devices: int) -> Tensor:
    """Of every one of `placements`, ``[N]`` int64."""
    device = placements(len(together), devices)  # [N, E]
    apart = device[:, :, None] != device[:, None, :]
    return (together * apart).sum(dim=(1, 2)) // 2


def routed_together(
    num_experts: int, *, seed: int, topics: int = 6, tokens: int = 600
) -> Tensor:
    """`used_together` of a fresh top-2 router on tokens around ``topics`` centres."""
    draw = torch.Generator().manual_seed(seed)
    centres = torch.randn(topics, 16, generator=draw)
    topic = torch.randint(topics, (tokens,), generator=draw)
    x = centres[topic] + 0.4 * torch.randn(tokens, 16, generator=draw)
    router = TopKRouter(16, num_experts, top_k=2).eval()
    with torch.no_grad():
        router.gate.weight.copy_(torch.randn(num_experts, 16, generator=draw))
        return used_together(router(x))


def cases(seeds: Sequence[int]) -> list[tuple[Tensor, int]]:
    """(together, devices): 8 experts on 2 and on 4 devices, in turn."""
    return [(routed_together(8, seed=seed), (2, 4)[i % 2])
            for i, seed in enumerate(seeds)]  # fmt: skip
