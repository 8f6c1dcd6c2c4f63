"""The long measurements behind the stored claims; anyone can run them again.

    python -m moe_lib.course.measurements [NAME ...] [--list] [--again]

Without a name all are measured that have no valid result. Ctrl-C loses the piece in
hand only; the same command goes on from there.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

import moe_lib.course
from moe_lib.course.long_runs import part_of, run
from moe_lib.course.stored_results import (
    FOLDER,
    Measurement,
    ResultsError,
    StoredResult,
    read,
)


def registered() -> dict[str, Measurement]:
    """Every measurement of the course: MEASUREMENTS of each measurements_NN.py."""
    names = [module.name for module in pkgutil.iter_modules(moe_lib.course.__path__)]
    modules = [
        importlib.import_module(f"moe_lib.course.{name}")
        for name in sorted(names)
        if name.startswith("measurements_")
    ]
    return {item.name: item for module in modules for item in module.MEASUREMENTS}


def find(name: str) -> Measurement:
    """Raises ResultsError: an unknown name."""
    every = registered()
    if name not in every:
        raise ResultsError(
            f"measurement {name!r} is unknown: choose from {', '.join(every)}"
        )
    return every[name]


def stored(item: Measurement | str, folder: Path = FOLDER) -> StoredResult:
    """The stored result of a measurement (or of its name).

    Raises:
        ResultsError: it is missing, incomplete, edited by hand, or was made with
            another configuration; one line that says which, and what to run.
    """
    item = find(item) if isinstance(item, str) else item
    data = read(folder / f"{item.name}.json", item)
    lengths = [len(column) for column in data["values"].values()]
    if set(lengths) != {len(item.seeds)}:
        raise ResultsError(
            f"{item.name} is incomplete, {min(lengths, default=0)} of"
            f" {len(item.seeds)} seeds: run {item.command}"
        )
    return StoredResult(item.name, data)


def listing(items: Sequence[Measurement], folder: Path = FOLDER) -> str:
    """A line per measurement: its name, its title, and how it stands."""
    lines = []
    for item in items:
        try:
            lines.append(f"{item.name}: {item.title}. {stored(item, folder).origin}")
        except ResultsError as problem:
            lines.append(f"{item.name}: {item.title}. {problem}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true", help="show how each stands")
    parser.add_argument("--again", action="store_true", help="measure valid ones too")
    options = parser.parse_args(arguments)
    try:
        items = [find(name) for name in options.names or registered()]
    except ResultsError as problem:
        parser.error(str(problem))
    if options.list:
        print(listing(items, folder))
        return 0
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # small tensors are slower on two
    for item in items:
        if not options.again and not part_of(item, folder).exists():
            try:
                print(f"{item.name}: {stored(item, folder).origin}")
                continue
            except ResultsError as problem:
                print(problem)
        try:
            run(item, folder, again=options.again)
        except KeyboardInterrupt:
            print(f"\nstopped; to go on: {item.command}", file=sys.stderr)
            sys.stderr.flush()
            sys.stdout.flush()
            os._exit(130)  # the piece in hand would keep the process alive
        except ResultsError as problem:
            print(problem, file=sys.stderr)
            return 1
        print(f"{item.name}: {stored(item, folder).origin}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
