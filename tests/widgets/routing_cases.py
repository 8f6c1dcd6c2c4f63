"""Random cases for every named router: what the page is given, what moe_lib answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from moe_lib import routers
from moe_lib.routing import Routing

FACTORS = [0.05, 0.3, 0.5, 0.75, 1.0, 1.1, 1.25, 1.3, 1.7, 2.0, 3.3]
FACTORS += [0.56, 1.12, 2.24]  # 25 of these are more in binary than in decimals
FACTORS += [0.1 + 0.2, 33 / 7, 1e-7]  # 17 digits, and a power of ten
GRID = torch.tensor([-1.0, -0.5, -0.0, 0.0, 0.5, 1.0], dtype=torch.float64)
VOCABULARY = 50
NAMES = (
    "softmax_gate",
    "noisy_top_k",
    "gshard",
    "switch",
    "hash",
    "expert_choice",
    "top_k",
)


@dataclass(frozen=True)
class Case:
    """The page's arguments of ``route``, and the table it must give."""

    arguments: list[Any]
    routing: Routing
    choice: list[int]
    has_ties: bool


class Draw:
    """Random parts of a case, from one seed."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def whole(self, low: int, high: int) -> int:
        """From low to high, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def yes(self, share: float = 0.5) -> bool:
        return float(torch.rand((), generator=self.generator)) < share

    def of(self, values: list) -> Any:
        return values[self.whole(0, len(values) - 1)]

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, dtype=torch.float64)

    def logits(self, num_tokens: int, num_experts: int, kinds: list[str]) -> Tensor:
        shape = (num_tokens, num_experts)
        kind = self.of(kinds)
        if kind == "grid":
            cells = torch.randint(len(GRID), shape, generator=self.generator)
            return GRID[cells]
        fine = torch.randn(shape, generator=self.generator, dtype=torch.float64) * 2
        if kind == "decimals":
            return (fine * 1e4).round() / 1e4
        if kind == "equal":
            return fine[:1, :1].expand(shape).clone()
        if kind == "repeated":  # a few rows, each several times
            rows = torch.randint(
                1 + num_tokens // 3, (num_tokens,), generator=self.generator
            )
            return fine[rows]
        return fine


def make_case(name: str, seed: int) -> Case:
    draw = Draw(seed)
    num_experts = draw.whole(2, 16)
    size, groups = draw.whole(1, 40), 1
    grouped = name in ("gshard", "switch", "expert_choice") and draw.yes()
    if grouped:
        size = draw.whole(1, 13)
        groups = draw.whole(1, 40 // size)
    elif draw.yes(0.2):  # where a factor in binary would ask for a slot too many
        size, num_experts = 25, draw.of([2, 7, 14])
    num_tokens = size * groups
    factor = draw.of(FACTORS)
    prioritized = name in ("gshard", "switch") and draw.yes(0.4)
    # Where softmax values are put in order, rows with the same numbers in another order
    # would tie in mathematics but not in the last bit, and each side's summing decides.
    # Rows that repeat tie on both sides, to the bit.
    kinds = ["fine", "decimals", "decimals", "equal", "repeated"]
    if not (prioritized or name == "expert_choice"):
        kinds += ["grid", "grid", "grid"]
    logits = draw.logits(num_tokens, num_experts, kinds)
    noisy = draw.logits(num_tokens, num_experts, kinds) if draw.yes() else None
    mask = draw.uniform(num_tokens) < draw.of([0.0, 0.5, 0.9]) if draw.yes() else None
    options: dict[str, Any] = {
        "noisyLogits": None if noisy is None else noisy.tolist(),
        "tokenMask": None if mask is None else mask.tolist(),
    }
    k = 1
    lottery = None
    if name in ("top_k", "noisy_top_k"):
        k = options["topK"] = draw.whole(1, min(num_experts, 6))
        kind = routers.TopKRouter if name == "top_k" else routers.NoisyTopKRouter
        router = kind(3, num_experts, top_k=k)
    elif name == "softmax_gate":
        router = routers.SoftmaxGate(3, num_experts)
    elif name == "hash":
        return hash_case(draw, logits, mask, options)
    else:
        if name != "expert_choice" and draw.yes(0.15):
            factor = None
        group_size = size if grouped else None
        options |= {"capacityFactor": factor, "groupSize": group_size}
        settings = {"capacity_factor": factor, "group_size": group_size}
        if name == "expert_choice":
            router = routers.ExpertChoiceRouter(3, num_experts, **settings)
        elif name == "switch":
            router = routers.SwitchRouter(
                3, num_experts, batch_prioritized_routing=prioritized, **settings
            )
        else:
            k = 2
            router = routers.GShardRouter(
                3, num_experts, batch_prioritized_routing=prioritized, **settings
            )
            lottery = draw.uniform(num_tokens) if draw.yes() else None
        if name != "expert_choice":
            options["batchPrioritized"] = prioritized
    router.train(lottery is not None)
    if lottery is not None:
        options |= {"secondExpertPolicy": "random", "draws": lottery.tolist()}
    with mock.patch.object(torch, "rand_like", return_value=lottery):
        routing = router.route(logits, mask, noisy_logits=noisy)
    read = logits if noisy is None else noisy
    rows = len(routing.token_index)
    if name == "softmax_gate":
        order = read.sort(dim=1, descending=True, stable=True).indices
        choice = order.argsort(dim=1).flatten().tolist()
    elif name == "expert_choice":
        choice = [-1] * rows
    else:
        choice = [row % k for row in range(rows)]
    return _case(name, logits, options, routing, choice, ties(name, read))


def hash_case(
    draw: Draw, logits: Tensor, mask: Tensor | None, options: dict[str, Any]
) -> Case:
    num_tokens, num_experts = logits.shape
    router = routers.HashRouter(3, num_experts, VOCABULARY, seed=draw.whole(0, 99))
    ids = torch.randint(VOCABULARY, (num_tokens,), generator=draw.generator)
    options["expertOf"] = router.expert_of_token[ids].tolist()
    routing = router(logits.new_zeros(num_tokens, 3), mask, ids)
    return _case("hash", logits, options, routing, [0] * num_tokens, False)


def _case(
    name: str,
    logits: Tensor,
    options: dict[str, Any],
    routing: Routing,
    choice: list[int],
    has_ties: bool,
) -> Case:
    given = {key: value for key, value in options.items() if value is not None}
    return Case([name, logits.tolist(), given], routing, choice, has_ties)


def ties(name: str, read: Tensor) -> bool:
    """Whether two of the numbers that are put in order are exactly the same."""
    if name == "expert_choice":
        columns = read.softmax(dim=1).T.sort(dim=1).values
    else:
        columns = read.sort(dim=1).values
    return bool((columns.diff(dim=1) == 0).any())


def near_ties(case: Case) -> bool:
    """Whether softmax values that are put in order differ in their last bits alone."""
    name, logits, options = case.arguments
    read = torch.tensor(options.get("noisyLogits", logits), dtype=torch.float64)
    gates = read.softmax(dim=1)
    if name != "expert_choice":
        if not options.get("batchPrioritized"):
            return False
        gates = gates.amax(dim=1, keepdim=True)
    gaps = gates.sort(dim=0).values.diff(dim=0)
    return bool(((gaps > 0) & (gaps < 1e-12)).any())


def differences(case: Case, answer: dict[str, Any]) -> list[str]:
    """In what the page's answer is not moe_lib's."""
    routing = case.routing
    found = []
    if answer["capacity"] != routing.capacity:
        found.append(f"capacity {answer['capacity']} for {routing.capacity}")
    if answer["groupSize"] != routing.group_size:
        found.append("group size")
    columns = (
        routing.token_index.tolist(),
        routing.expert_index.tolist(),
        case.choice,
        routing.position_in_expert.tolist(),
        routing.kept.tolist(),
    )
    want = list(zip(*columns, strict=True))
    got = [
        (t, e, choice, place, kept) for t, e, choice, place, _, kept in answer["rows"]
    ]
    if got != want:
        found.append("rows")
    elif not _close([row[4] for row in answer["rows"]], routing.combine_weights):
        found.append("weights")
    if not _close(answer["probs"], routing.router_probs):
        found.append("probabilities")
    return found


def _close(got: list, want: Tensor) -> bool:
    got = torch.tensor(got, dtype=torch.float64).view(want.shape)
    return torch.allclose(got, want.double(), rtol=0, atol=1e-9)
