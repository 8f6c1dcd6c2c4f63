"""The leaderboard's lines, and where the reader's are kept.

That is ``leaderboard.json`` beside ``progress.json``: the best result of each name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from moe_lib.course import progress_file
from moe_lib.course.leaderboard import Result
from moe_lib.course.table import Table

SHOWN = ("steps", "flops", "parameters")
HEAD = ("entry", "bits per byte", "seeds, best to worst", "steps", "FLOPs a byte",
        "weights")  # fmt: skip


@dataclass(frozen=True)
class Standing:
    """A line of the board: a result for each seed. yours: it is the reader's."""

    name: str
    results: tuple[Result, ...]
    yours: bool = False

    @property
    def bits(self) -> float:
        """Mean over the seeds: what ranks."""
        return sum(result.bits for result in self.results) / len(self.results)

    @property
    def label(self) -> str:
        return f"{self.name} (yours)" if self.yours else self.name

    @property
    def span(self) -> str:
        """Bits of the best and of the worst seed; one number if there is one."""
        each = sorted(f"{result.bits:.3f}" for result in self.results)
        return f"{each[0]} to {each[-1]}" if len(each) > 1 else each[0]


@dataclass(frozen=True, repr=False)
class Board:
    """The standings, best first."""

    standings: Sequence[Standing]

    def __repr__(self) -> str:
        return "the leaderboard: entries by bits per byte, the best first"

    def _repr_html_(self) -> str:
        rows = []
        for place, one in enumerate(self.standings, start=1):
            told = (f"{getattr(one.results[0], what):,.0f}" for what in SHOWN)
            rows.append((f"{place}. {one.label}", f"{one.bits:.3f}", one.span, *told))
        return Table(HEAD, rows, "")._repr_html_()


def _file() -> Path | None:
    beside = progress_file.path()
    return beside and beside.with_name("leaderboard.json")


def kept() -> dict[str, Result]:
    """The reader's results by name; {} where none can be read."""
    file = _file()
    try:
        entries = json.loads(file.read_text("utf-8")) if file else {}
        return {name: Result(**one) for name, one in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def keep(name: str, result: Result) -> None:
    """Write the reader's result down, unless a better one has that name."""
    file, entries = _file(), kept()
    if file is None or (name in entries and entries[name].bits <= result.bits):
        return
    entries[name] = result
    text = json.dumps({key: asdict(one) for key, one in entries.items()}, indent=2)
    draft = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        draft.write_text(text, "utf-8")
        draft.replace(file)
    except OSError:  # `progress_file.record` tells why, once
        draft.unlink(missing_ok=True)
