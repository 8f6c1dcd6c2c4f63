"""The leaderboard's lines, and where the reader's are kept.

That is ``leaderboard.json`` beside ``progress.json``: the best result of each name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from moe_lib.course import kept_file, progress_file
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
    return beside and beside.parent / "leaderboard.json"


def kept() -> tuple[dict[str, Result], str]:
    """The reader's results by name, and what kept them from being read."""
    file = _file()
    return kept_file.read(file, _results_of) if file else ({}, "")


def keep(name: str, result: Result) -> str:
    """Write the reader's result down, unless a better one has that name.

    Returns:
        What the reader has to know, mostly "": see `kept_file.change`.
    """
    file = _file()
    if file is None:
        return ""

    def edit(entries: dict[str, Result]) -> dict | None:
        if name in entries and entries[name].bits <= result.bits:
            return None
        entries[name] = result
        return {key: asdict(one) for key, one in entries.items()}

    return kept_file.change(file, _results_of, edit, "your place on the leaderboard")


def _results_of(content: Any) -> dict[str, Result]:
    try:
        results = {name: Result(**one) for name, one in content.items()}
        numbers = [n for one in results.values() for n in asdict(one).values()]
        if all(map(math.isfinite, numbers)):
            return results
    except (TypeError, AttributeError, OverflowError):
        pass
    raise ValueError("it is no file of results")
