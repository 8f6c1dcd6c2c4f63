"""What GShard's lottery for the second expert frees: places, or only work?

Printed as it is, Algorithm 1 counts a declined second choice all the same. The code
of its time takes the declined out of the queue first. Both are here, and no lottery.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from moe_lib.checks import require_count
from moe_lib.course.overflow import (
    EXPERTS,
    TOKENS,
    draw_logits,
    expected_drops,
    uneven,
)
from moe_lib.course.table import Table
from moe_lib.routers import GShardRouter
from moe_lib.routers.slots import arrival_positions
from moe_lib.routing import Routing

ALL, PRINTED, LEAVING = "no lottery", "lottery, as printed", "lottery, declined leave"
POLICIES = (ALL, PRINTED, LEAVING)
FATES = ("first_late", "declined", "second_late", "empty")
HEAD = ("second choice", "first choices too late", "second choices declined",
        "of those sent, too late", "places empty")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Lottery:
    """Shares of what became of choices and places, by policy.

    Columns of both: `FATES`. expected: policy -> ``[4]``. measured: policy ->
    ``[4, seeds]``. rows: choices in all; moved: those whose place differs between no
    lottery and the lottery as printed.
    """

    expected: dict[str, Tensor]
    measured: dict[str, Tensor]
    rows: int
    moved: int


def chance_sent(num_experts: int = EXPERTS) -> float:
    """The mean of 2 g2 of balanced gates with Gumbel noise.

    The two largest gates are as 1 / X and 1 / (X + Y), exponential times with rates E
    and E - 1; with X's share u of u / E + (1 - u) / (E - 1) uniform, the mean is an
    integral over u that can be solved.
    """
    e = num_experts
    if e == 2:
        return 0.5
    return 2 * (e - 1) / (e - 2) * (1 - e / (e - 2) * math.log((2 * e - 2) / e))


def run_lottery(
    *, group_size: int = 16, capacity_factor: float = 1.0, seeds: int = 20
) -> Lottery:
    """Balanced gates through the three policies; the same gates and draws for each."""
    require_count("seeds", seeds, minimum=2)
    routers = {
        name: GShardRouter(
            1, EXPERTS, capacity_factor=capacity_factor, group_size=group_size,
            second_expert_policy=policy,
        ).train()
        for name, policy in ((ALL, "all"), (PRINTED, "random"))
    }  # fmt: skip
    columns: dict[str, list[Tensor]] = {name: [] for name in POLICIES}
    moved = 0
    for seed in range(seeds):
        draw = torch.Generator().manual_seed(seed)
        logits = draw_logits(uneven(0.0), TOKENS, draw)
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            rnd = torch.rand(TOKENS, dtype=torch.float64)
            torch.manual_seed(seed)  # the router draws the same
            tables = {name: router.route(logits) for name, router in routers.items()}
        every = tables[ALL]
        top = every.router_probs.topk(2, dim=1).values
        sent = 2 * top[:, 1] / top.sum(dim=1) > rnd
        places = (table.position_in_expert for table in tables.values())
        moved += int(torch.ne(*places).sum())
        columns[ALL].append(_fates(every, _late(every), torch.ones_like(sent)))
        columns[PRINTED].append(_fates(every, _late(tables[PRINTED]), sent))
        columns[LEAVING].append(_fates(every, _late_if_they_leave(every, sent), sent))
    capacity = tables[ALL].capacity
    return Lottery(
        {name: _expected(name, group_size, capacity) for name in POLICIES},
        {name: torch.stack(rows, dim=1) for name, rows in columns.items()},
        2 * TOKENS * seeds,
        moved,
    )


def _late(routing: Routing) -> Tensor:
    """``[T, 2]`` bool: the choices of a top-2 table that found their expert full."""
    return (routing.position_in_expert >= routing.capacity).view(-1, 2)


def _fates(table: Routing, late: Tensor, sent: Tensor) -> Tensor:
    """`FATES` of choices that are ``late`` [T, 2] and second ones ``sent`` [T]."""
    kept = ~late
    kept[:, 1] &= sent
    groups = len(late) // table.group_size
    places = groups * table.num_experts * table.capacity
    second_late = late[sent, 1].double().mean()
    return torch.stack([
        late[:, 0].double().mean(),
        1 - sent.double().mean(),
        second_late,
        1 - kept.sum().double() / places,
    ])  # fmt: skip


def _late_if_they_leave(table: Routing, sent: Tensor) -> Tensor:
    """Who is late when declined choices stand in a queue of their own, [T, 2]."""
    chosen = table.expert_index.view(-1, 2).clone()
    chosen[~sent, 1] = table.num_experts  # one more expert, who is nobody
    position = arrival_positions(
        chosen, table.num_experts + 1, group_size=table.group_size
    )
    return position >= table.capacity


def _expected(name: str, size: int, capacity: int) -> Tensor:
    sent = 1.0 if name == ALL else chance_sent()
    queue = sent if name == LEAVING else 1.0  # the chance to count in the queue
    first, second = expected_drops(uneven(0.0), size, capacity, queue)
    kept = size * (1 - first + sent * (1 - second))
    return torch.tensor(
        [first, 1 - sent, second, 1 - kept / (EXPERTS * capacity)], dtype=torch.float64
    )


def lottery_table(lottery: Lottery) -> Table:
    """A row for each policy: the share by probability, and as measured (± 2 SE)."""
    rows = []
    for name in POLICIES:
        measured = lottery.measured[name]
        mean = measured.mean(dim=1)
        two_se = 2 * measured.std(dim=1) / measured.shape[1] ** 0.5
        rows.append([name, *(
            f"{p:.1%} ({m:.1%} ± {100 * e:.1f})"
            for p, m, e in zip(lottery.expected[name].tolist(), mean.tolist(),
                               two_se.tolist(), strict=True)
        )])  # fmt: skip
    return Table(HEAD, rows, f"{len(rows)} rules for the second expert")
