"""GShard's Algorithm 1: any version of it against the library, and its loss.

A version is a function of the gates ``[G, S, E]``, the capacity C and the draws of
line 17 ``[G, S]``. It gives, with j = 0, 1 for the first and the second choice:

    weights ``[G, S, E]``, the paper's script G; 0 where nothing is sent;
    position ``[G, S, 2]`` int64 and kept ``[G, S, 2]`` bool, of choice j;
    l_aux ``[G]``, line 13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from moe_lib.course.table import Table
from moe_lib.losses import load_balancing_loss
from moe_lib.routers import GShardRouter, SwitchRouter
from moe_lib.routing import Routing

Version = Callable[[Tensor, int, Tensor], tuple[Tensor, Tensor, Tensor, Tensor]]
PARTS = ("weights", "slots", "kept", "loss")
KINDS = ("plain", "ties", "C = 1", "S = 1", "E = 2", "one expert")
CLOSE = 1e-12  # float64: sums in another order


@dataclass(frozen=True, eq=False)
class Case:
    """What a version is given, and what the library made of the same draws."""

    kind: str
    gates: Tensor
    rnd: Tensor
    routing: Routing

    @property
    def expected(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        groups, size, experts = self.gates.shape
        table, pair = self.routing, (groups, size, 2)
        return (
            table.dense().view(groups, size, experts),
            table.position_in_expert.view(pair),
            table.kept.view(pair),
            gshard_loss(table),
        )


def random_cases(cases: int, seed: int = 2020) -> Iterator[Case]:
    """Of all `KINDS` in turn, float64; the lottery's numbers are the router's own."""
    draw = torch.Generator().manual_seed(seed)

    def whole(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=draw))

    with torch.random.fork_rng(devices=()):
        for i in range(cases):
            kind = KINDS[i % len(KINDS)]
            groups, size, experts = whole(1, 3), whole(1, 12), whole(2, 8)
            size = 1 if kind == "S = 1" else size
            experts = 2 if kind == "E = 2" else experts
            factor = 0.01 if kind == "C = 1" else whole(1, 6) / 4
            logits = torch.randn(groups * size, experts, generator=draw).double()
            if kind == "ties":
                logits = logits.round()
            if kind == "one expert":
                logits[:, whole(0, experts - 1)] += 9
            router = GShardRouter(
                1, experts, capacity_factor=factor, group_size=size
            ).train()
            torch.manual_seed(i)
            rnd = torch.rand(groups * size, dtype=torch.float64)
            torch.manual_seed(i)  # the router draws the same
            routing = router.route(logits)
            gates = routing.router_probs.view(groups, size, experts)
            yield Case(kind, gates, rnd.view(groups, size), routing)


def gshard_loss(routing: Routing) -> Tensor:
    """Line 13 for each group of a top-2 table, ``[G]``: c counts first choices."""
    experts = routing.num_experts
    size = routing.group_size or routing.num_tokens
    first = routing.expert_index[::2].view(-1, size)  # [G, S]
    c = torch.stack([group.bincount(minlength=experts) for group in first])
    m = routing.router_probs.view(-1, size, experts).mean(dim=1)
    return (c * m).mean(dim=1) / size  # c / size alone would be float32


def disagreements(*versions: Version, cases: int = 1000) -> dict[str, Tensor]:
    """How often each version differs from the library: name -> ``[4]``, see `PARTS`.

    Slots and kept have to be equal; weights and loss within 1e-12.
    """
    wrong = {
        version.__name__: torch.zeros(4, dtype=torch.int64) for version in versions
    }
    for case in random_cases(cases):
        expected = case.expected
        for version in versions:
            answer = version(case.gates, case.routing.capacity, case.rnd)
            for part, (got, want) in enumerate(zip(answer, expected, strict=True)):
                off = (got.double() - want.double()).abs().max().item()
                wrong[version.__name__][part] += not off <= CLOSE
    return wrong


def agreement_table(wrong: dict[str, Tensor], cases: int = 1000) -> Table:
    """A row for each version: the cases in which each part equals the library's."""
    rows = [
        [name, *(f"{cases - int(count):,} of {cases:,}" for count in counts)]
        for name, counts in wrong.items()
    ]
    differ = sum(int(counts.sum()) for counts in wrong.values())
    text = f"{len(wrong)} versions, {cases:,} cases: {differ} differences"
    return Table(["version", *PARTS], rows, text)


def switch_table(routing: Routing) -> Routing:
    """The first choices of a top-2 table alone, as Switch would route them."""
    router = SwitchRouter(
        1, routing.num_experts, capacity_factor=None, group_size=routing.group_size
    )
    return router.route(routing.router_logits)


def loss_off(cases: int = 100) -> float:
    """The largest ``|E^2 l_aux - load_balancing_loss|``, top-1, over random cases."""
    worst = 0.0
    for case in random_cases(cases):
        gshard = case.routing.num_experts**2 * gshard_loss(case.routing).mean()
        switch = load_balancing_loss(switch_table(case.routing))
        worst = max(worst, (switch - gshard).abs().item())
    return worst
