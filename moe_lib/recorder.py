"""What expert parallelism really does: bytes from rank to rank, and a time line."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real

import torch
import torch.distributed as dist
from torch import Tensor

from moe_lib.checks import require_choice, require_count

KINDS = ("compute", "dispatch", "combine", "waiting")


@dataclass(frozen=True)
class Event:
    """What one rank does for a while.

    Args:
        rank: which device, from 0.
        kind: "compute", "dispatch" (tokens to their experts), "combine" (and back) or
            "waiting".
        start, end: seconds, for all events from the same zero.

    Raises:
        ValueError: an unknown kind, a rank below 0, an end before the start.
    """

    rank: int
    kind: str
    start: float
    end: float

    def __post_init__(self) -> None:
        require_count("rank", self.rank, minimum=0)
        require_choice("kind", self.kind, KINDS)
        for name in ("start", "end"):
            value = getattr(self, name)
            if not isinstance(value, Real) or not math.isfinite(value):
                raise ValueError(f"{name}={value!r}: give a finite number of seconds")
        if self.end < self.start:
            raise ValueError(
                f"end={self.end} is before start={self.start}: give the later as end"
            )

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class Record:
    """What all ranks did.

    Args:
        events: (rank, kind, start, end), seconds from a zero that the ranks share; the
            kinds and the order of fields are those of `Event`.
        traffic: "dispatch" (rows on their way to experts) and "combine" (on their way
            home) -> ``[R, R]`` int64, bytes from rank (row) to rank (column).
    """

    events: list[tuple[int, str, float, float]]
    traffic: dict[str, Tensor]


class Recorder:
    """Notes every exchange of rows between `start` and `gathered`.

    A barrier before each exchange separates waiting for slower ranks from travelling;
    what lies between exchanges is "compute", all of it: routing, experts, sorting. In
    the backward pass gradients go home to experts first: that is "dispatch", too. Bytes
    are those of the buffers that were handed over, a rank's own rows included (the
    diagonal, which no wire sees); the counts that go ahead of the rows are not in them.

    All ranks of the group must start and gather together. Before `start` and after
    `gathered` it does nothing, without barriers.

    Args:
        group: of the `ExpertParallel` that it is given to; None: all ranks.
    """

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        self.group = group
        self.recording = False

    def start(self) -> None:
        """Forget what was noted, meet the other ranks, and set the clock to zero."""
        ranks = dist.get_world_size(self.group)
        self._sent = {kind: [0] * ranks for kind in ("dispatch", "combine")}
        self._events: list[tuple[str, float, float]] = []
        self._zero = self._last = 0.0
        self._now()
        dist.barrier(self.group)
        self._zero = time.perf_counter()
        self.recording = True

    @contextmanager
    def exchange(
        self, kind: str, sent_bytes: Sequence[int] | None = None
    ) -> Iterator[None]:
        """Around one exchange of ``kind``; bytes to each rank, None: not to count."""
        if not self.recording:
            yield
            return
        self._until_now("compute")
        dist.barrier(self.group)
        self._until_now("waiting")
        yield
        self._until_now(kind)
        for rank, sent in enumerate(sent_bytes or ()):
            self._sent[kind][rank] += sent

    def gathered(self) -> Record:
        """Stop, and tell every rank what all of them noted."""
        if not self.recording:
            raise ValueError("nothing is being recorded: call start() first")
        self._until_now("compute")
        self.recording = False
        notes: list = [None] * dist.get_world_size(self.group)
        dist.all_gather_object(notes, (self._events, self._sent), group=self.group)
        events = [
            (rank, *event) for rank, (noted, _) in enumerate(notes) for event in noted
        ]
        traffic = {
            kind: torch.tensor([sent[kind] for _, sent in notes], dtype=torch.int64)
            for kind in self._sent
        }
        return Record(events, traffic)

    def _until_now(self, kind: str) -> None:
        now = self._now()
        self._events.append((kind, self._last, now))
        self._last = now

    def _now(self) -> float:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()  # else only the launching would be timed
        return time.perf_counter() - self._zero
