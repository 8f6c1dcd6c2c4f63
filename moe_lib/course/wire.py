"""Meetings of pretended cores, all in one process, with every number sent counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Core = tuple[int, int]  # row, column
#: (cores in a ring, what each brings) -> what each takes away.
Meeting = Callable[[Sequence[Core], Sequence[Tensor]], list[Tensor]]


class Wire:
    """``sent[kind][core]``: numbers that left the core for another one."""

    def __init__(self) -> None:
        self.sent: dict[str, Counter[Core]] = {}

    def note(self, kind: str, core: Core, count: int) -> None:
        """``core`` sends ``count`` numbers."""
        self.sent.setdefault(kind, Counter())[core] += count

    def total(self, kind: str) -> int:
        """Of all cores."""
        return self.sent.get(kind, Counter()).total()

    def all_reduce(self, kind: str) -> Meeting:
        """The sum of all cores' parts for each: chunks go round the ring twice, first
        to be added up, then to be told."""

        def meet(ring: Sequence[Core], parts: Sequence[Tensor]) -> list[Tensor]:
            count = len(ring)
            chunks = [list(part.flatten().tensor_split(count)) for part in parts]
            for turn in range(2 * (count - 1)):
                for i, core in enumerate(ring):
                    k, told = (i - turn) % count, chunks[(i + 1) % count]
                    moving = chunks[i][k]
                    told[k] = told[k] + moving if turn < count - 1 else moving
                    self.note(kind, core, moving.numel())
            return [
                torch.cat(own).view_as(part)
                for own, part in zip(chunks, parts, strict=True)
            ]

        return meet

    def all_to_all(self, kind: str) -> Meeting:
        """``parts[i][j]`` goes from core i of the ring to core j."""

        def meet(ring: Sequence[Core], parts: Sequence[Tensor]) -> list[Tensor]:
            for i, core in enumerate(ring):
                self.note(kind, core, parts[i].numel() - parts[i][i].numel())
            return [torch.stack(got) for got in zip(*parts, strict=True)]

        return meet


def stay(ring: Sequence[Core], parts: Sequence[Tensor]) -> list[Tensor]:
    """Nothing is sent."""
    return [part.clone() for part in parts]


class Meet(torch.autograd.Function):
    """Cores meet one way in forward and another way in backward."""

    @staticmethod
    def forward(
        ctx: Any, ring: Sequence[Core], there: Meeting, back: Meeting, *parts: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.ring, ctx.back = ring, back
        return tuple(there(ring, parts))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, *ctx.back(ctx.ring, grads)
