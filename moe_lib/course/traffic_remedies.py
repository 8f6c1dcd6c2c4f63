"""Less traffic between the ranks of a MoE: what can be tried, as layers to build."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import torch
from torch import Tensor

import moe_lib
from moe_lib.course.timing import best_seconds
from moe_lib.exchange import pack, unpack
from moe_lib.experts import Experts
from moe_lib.layer import MoE
from moe_lib.models.byte_tables import ByteTables
from moe_lib.routers import GShardRouter, SwitchRouter
from moe_lib.routing import Routing

D_MODEL = 128
WINDOW = 12  # bytes that make a token
EXCHANGES = 4  # of a training step: there and back, forward and backward


class NearbyRouter(GShardRouter):
    """A `GShardRouter` whose tokens may choose only among some of the experts.

    Args:
        nearby: the experts that may be chosen, at least two.
        options: as in `GShardRouter`.

    Raises:
        ValueError: fewer than two experts are near.
    """

    def __init__(
        self, d_model: int, num_experts: int, nearby: Sequence[int], **options
    ) -> None:
        super().__init__(d_model, num_experts, **options)
        if len(nearby) < 2:
            raise ValueError(
                f"nearby={list(nearby)}: a token needs two experts; give more of them,"
                " or start fewer ranks"
            )
        self._nearby = list(nearby)  # private: in this alone the ranks differ

    def table(
        self, router_logits: Tensor, noisy_logits: Tensor, token_mask: Tensor | None
    ) -> Routing:
        far = torch.ones(self.num_experts, dtype=torch.bool, device=noisy_logits.device)
        far[self._nearby] = False
        lowest = torch.finfo(noisy_logits.dtype).min
        near = noisy_logits.masked_fill(far, lowest)
        return super().table(router_logits, near, token_mask)


@dataclass(frozen=True)
class Remedy:
    """One way of sending less; the defaults send every row as it is, to two experts.

    change: what it does to the function that the layer computes.
    payload: what a row travels as, see `moe_lib.exchange`.
    top_k: 2 (GShard) or 1 (Switch). Nothing is ever dropped.
    near: on how many neighbouring ranks a token's experts may stand; None: on all.
    """

    name: str
    change: str
    num_experts: int
    d_ff: int = 512
    payload: str = "same"
    top_k: int = 2
    near: int | None = None

    def build(self, rank: int, ranks: int, seed: int = 0) -> MoE:
        """The whole layer; equal seeds and sizes give equal weights."""
        size = (D_MODEL, self.num_experts)
        options = dict(capacity_factor=None, second_expert_policy="all")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if self.top_k == 1:
                router = SwitchRouter(*size, capacity_factor=None)
            elif self.near is None:
                router = GShardRouter(*size, **options)
            else:
                each = self.num_experts // ranks
                first = rank // self.near * self.near * each
                nearby = range(first, first + self.near * each)
                router = NearbyRouter(*size, nearby, **options)
            return MoE(router, Experts(self.num_experts, D_MODEL, self.d_ff))


def plain_and_remedies(num_experts: int, ranks: int) -> list[Remedy]:
    """Every row as it is, then one change at a time."""
    plain = Remedy("as it is", "itself", num_experts)
    round_ = partial(replace, plain, change="rounded")
    choose = partial(replace, plain, change="other choice")
    widen = partial(replace, plain, change="other model")
    half = choose(name="experts of half of the ranks", near=ranks // 2)
    return [
        plain,
        round_(name="rows as bfloat16", payload="bfloat16"),
        round_(name="rows as int8, one scale each", payload="int8"),
        choose(name="experts of the own rank only", near=1),
        *([half] if ranks >= 4 and ranks % 2 == 0 else []),
        choose(name="one expert for each token", top_k=1),
        widen(name="half as many experts, twice as wide",
              num_experts=num_experts // 2, d_ff=2 * plain.d_ff),
        widen(name="experts four times as wide", d_ff=4 * plain.d_ff),
    ]  # fmt: skip


def conversion_seconds(rows: Tensor, remedy: Remedy) -> float:
    """Packing and unpacking ``rows`` ``[N, D]``, as often as a step does it."""
    if remedy.payload == "same":
        return 0.0

    def once() -> None:
        unpack(pack(rows, remedy.payload), remedy.payload, rows.dtype)
        if rows.is_cuda:
            torch.cuda.synchronize()

    return EXCHANGES * best_seconds(once)


@torch.no_grad()
def some_tokens(count: int, seed: int) -> Tensor:
    """``[count, 128]``: neighbouring places in this library's source, embedded."""
    windows, tables = _source()
    draw = torch.Generator().manual_seed(seed)
    first = int(torch.randint(len(windows) - count, (1,), generator=draw))
    return tables.window(windows[first : first + count].long())


@lru_cache(maxsize=1)
def _source() -> tuple[Tensor, ByteTables]:
    folder = Path(moe_lib.__file__).parent
    text = b"".join(file.read_bytes() for file in sorted(folder.rglob("*.py")))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tables = ByteTables(WINDOW, D_MODEL)
    letters = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    return letters.unfold(0, WINDOW, 1), tables
