"""Run a measurement piece by piece, so that Ctrl-C costs one piece at most."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Thread
from typing import Any

import torch

from moe_lib.course.columns import Columns
from moe_lib.course.stored_results import (
    FOLDER,
    Measurement,
    ResultsError,
    plain,
    read,
    write,
)
from moe_lib.locking import LockError, locked
from moe_lib.running import progress


def part_of(item: Measurement, folder: Path) -> Path:
    """Where the pieces are kept until all are there."""
    return folder / f"{item.name}.json.part"


def run(item: Measurement, folder: Path = FOLDER, *, again: bool = False) -> None:
    """Measure piece by piece; go on where an interrupted run stopped.

    The pieces are always cut alike, so a resumed run equals an uninterrupted one bit
    for bit. An older result stays until the new one is complete.

    Raises:
        ResultsError: the result cannot be written (told before anything is measured),
            or another process is measuring it.
    """
    try:
        with locked(part_of(item, folder), patience=0):
            _run(item, folder, again)
    except TimeoutError:
        raise ResultsError(
            f"{item.name} is being measured by another process: let it end"
        ) from None
    except LockError as problem:
        raise ResultsError(f"{item.name} is not measured: {problem}") from None


def _run(item: Measurement, folder: Path, again: bool) -> None:
    part = part_of(item, folder)
    if again:
        part.unlink(missing_ok=True)
    data = _begun(part, item)
    write(part, data)  # now, not after an hour, a full disk or a locked folder shows
    seeds, done = list(item.seeds), len(next(iter(data["values"].values()), []))
    with progress(len(seeds), item.title, done) as bar:
        for first in range(done, len(seeds), item.batch):
            piece = seeds[first : first + item.batch]
            started = time.perf_counter()
            columns = _measured(item, piece)
            for name, values in columns.items():
                data["values"].setdefault(name, []).extend(values)
            seconds = data["seconds"] + time.perf_counter() - started
            data |= {"seconds": round(seconds, 1), "date": date.today().isoformat()}
            write(part, data)
            bar.update(len(piece))
    part.replace(folder / f"{item.name}.json")


def _begun(part: Path, item: Measurement) -> dict[str, Any]:
    """What an interrupted run left, if it was made by the same code; else a start."""
    fresh = {
        "name": item.name,
        **item.settings,
        "values": {},
        "versions": _versions(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "seconds": 0.0,
    }
    if not part.exists():
        return fresh
    try:
        data = read(part, item)
        if data["versions"] != fresh["versions"]:
            raise ResultsError(f"{item.name} was begun with {data['versions']}")
    except ResultsError as problem:
        print(f"starting anew: {problem}")
        return fresh
    return data


def _measured(item: Measurement, seeds: Sequence[int]) -> Columns:
    """One piece, in a thread of its own.

    There the trainers leave Ctrl-C alone (`deferred_interrupt`), so the main thread
    hears it at once, and no half-trained model is taken for a result.
    """
    answer: Future = Future()

    def work() -> None:
        try:
            answer.set_result(item.measure(item.config, seeds))
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=work, daemon=True).start()
    columns = plain(answer.result())
    for name, values in columns.items():
        if len(values) != len(seeds):
            raise ValueError(
                f"{item.name}: {name} has {len(values)} values for {len(seeds)} seeds:"
                " give one per seed"
            )
    return columns


def _versions() -> dict[str, str]:
    try:
        library = version("moe_lib")
    except PackageNotFoundError:  # a checkout that was never installed
        library = "not installed"
    python = platform.python_version()
    return {"python": python, "torch": torch.__version__, "moe_lib": library}
