"""Results of long measurements as small JSON files that vouch for themselves.

A file holds the configuration, the seeds, a value per seed and column, the versions,
the date, the duration, and a digest over all of it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from moe_lib.checks import require_count

FOLDER = Path(__file__).parent / "results"
COMMAND = "python -m moe_lib.course.measurements"


class ResultsError(ValueError):
    """A stored result that may not be shown; one line with what to do."""


@dataclass(frozen=True)
class Measurement:
    """What is measured, and how.

    Args:
        name: of the result's file; it begins with the chapter, such as "01-race".
        title: one line for people.
        config: everything that the numbers depend on, as plain JSON values. Its
            "version" is a whole number to raise when ``measure`` comes to mean
            something else. (A hash of its source would refuse a new comment, and
            overlook a change in what it calls; a test measures some seeds again.)
        seeds: one value per seed and column.
        batch: seeds measured in one piece; after each the result so far is stored.
            Runs that are trained side by side may share draws, so it counts as a
            setting.
        measure: ``(config, seeds) -> {column: one number, bool or None per seed}``,
            or one list of C numbers per seed. None or NaN where a run never arrived.
            It takes every setting from ``config``.
    """

    name: str
    title: str
    config: Mapping[str, Any]
    seeds: Sequence[int]
    batch: int
    measure: Callable[[Mapping[str, Any], Sequence[int]], dict[str, list]]

    def __post_init__(self) -> None:
        require_count(f"{self.name}: number of seeds", len(self.seeds), minimum=2)
        require_count(f"{self.name}: batch", self.batch)
        require_count(f"{self.name}: config['version']", self.config.get("version"))

    @property
    def settings(self) -> dict[str, Any]:
        """What a stored result must agree with."""
        seeds = list(self.seeds)
        return {"config": plain(self.config), "batch": self.batch, "seeds": seeds}

    @property
    def command(self) -> str:
        """What to type to measure it."""
        return f"{COMMAND} {self.name}"


@dataclass(frozen=True)
class StoredResult:
    """A result that is complete, unedited, and made with today's configuration."""

    name: str
    data: Mapping[str, Any]

    def __getitem__(self, column: str) -> Tensor:
        """``[S]`` (or ``[S, C]``) float64, NaN where a run never arrived."""
        values = self.data["values"][column]
        numbers = [math.nan if value is None else value for value in values]
        return torch.tensor(numbers, dtype=torch.float64)

    def keys(self) -> Iterable[str]:
        """Names of the columns, so that ``dict(result)`` holds them all."""
        return self.data["values"].keys()

    @property
    def origin(self) -> str:
        """Where the numbers come from, in a line."""
        data = self.data
        return (
            f"{len(data['seeds'])} seeds, measured on {data['date']} in"
            f" {data['seconds']:.0f} s ({data['machine']}, torch"
            f" {data['versions']['torch']}) by `{COMMAND} {self.name}`"
        )


def digest(data: object) -> str:
    """16 hex digits over plain JSON data; the order of keys does not matter."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """As JSON keeps it: floats to six digits, NaN and infinity as None.

    The last bits differ between machines, and nobody reads them.
    """
    if isinstance(value, Tensor):
        return plain(value.tolist())
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        value = float(f"{value:.6g}")
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [plain(item) for item in value]
    return value


def write(path: Path, data: Mapping[str, Any]) -> None:
    """Store with a fresh digest; an old file stays whole until the new one is.

    Raises:
        ResultsError: a full disk, or a folder without write access.
    """
    body = {key: value for key, value in data.items() if key != "digest"}
    text = json.dumps({**body, "digest": digest(body)}, indent=1, allow_nan=False)
    one_line = re.sub(r"\[[^\[\]{}]*\]", lambda m: " ".join(m[0].split()), text)
    draft = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(one_line + "\n", "utf-8")
        draft.replace(path)
    except OSError as error:
        if draft.exists():
            draft.unlink()
        raise ResultsError(
            f"{path} cannot be written, {error.strerror}: make room and allow writing"
            " there; finished pieces are kept, the same command goes on"
        ) from None


def read(path: Path, item: Measurement) -> dict[str, Any]:
    """What is stored, complete or not.

    Raises:
        ResultsError: no file, not JSON, edited by hand, or made with other settings.
    """
    if not path.exists():
        what = f"is not measured yet (if deleted, `git checkout -- {path}` has it)"
        raise ResultsError(f"{item.name} {what}: run {item.command}")
    try:
        data = json.loads(path.read_text("utf-8-sig"))
        body = {key: value for key, value in data.items() if key != "digest"}
        genuine = data["digest"] == digest(body)
    except (OSError, ValueError, LookupError, AttributeError, RecursionError) as e:
        raise ResultsError(
            f"{item.name} cannot be read ({e!r:.60}): run {item.command}"
        ) from None
    if not genuine:
        raise ResultsError(
            f"{item.name} was edited by hand, its digest does not fit:"
            f" run {item.command}"
        )
    now = item.settings
    if change := difference({key: data.get(key) for key in now}, now):
        raise ResultsError(
            f"{item.name} was measured with other settings,"
            f" {change}: run {item.command}"
        )
    return data


def difference(stored: Any, now: Any, key: str = "") -> str:
    """The first key that differs, "config.lr: 0.5 -> 1.0"; "" where all agree."""
    if isinstance(stored, Mapping) and isinstance(now, Mapping):
        for name in sorted({*stored, *now}):
            path = f"{key}.{name}".removeprefix(".")
            sides = (side.get(name, "missing") for side in (stored, now))
            if change := difference(*sides, path):
                return change
        return ""
    if stored == now and type(stored) is type(now):
        return ""
    return f"{key}: {shortened(stored)} -> {shortened(now)}"


def shortened(value: Any) -> str:
    if isinstance(value, list) and len(value) > 6:
        return f"[{value[0]}, ..., {value[-1]}] ({len(value)} values)"
    return str(value)
