"""Students' progress files as a table, and submitted notebooks run and judged.

    python -m moe_lib.course.gradebook anna/progress.json   # a row per exercise
    python -m moe_lib.course.gradebook class/               # a row per student
    python -m moe_lib.course.gradebook --run class/         # runs their notebooks

A progress file is its owner's own and can be edited. ``--run`` believes none: each
notebook is executed from top to bottom, quick profile, in a fresh kernel and an empty
folder, and what the course's checks then say is the table. **That runs students' code
with your rights**: do it in a container or an account that has nothing to lose. And a
notebook can write its own marks as well, so read the answers that you do not believe.

A folder gives its ``progress.json``; where it has none, all its ``*.json`` and the
``progress.json`` of the folders in it; with ``--run`` the notebooks in it. The exit
status is 1 if something could not be read or did not run to its end.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moe_lib.course import progress_file
from moe_lib.course.exercises import chapters, tasks

UNKNOWN = "(not in this edition)"
ONE = ("exercise", "title", "state", "attempts", "first passed", "last diagnosis")


@dataclass(frozen=True)
class Student:
    """Entries by exercise id, as in `progress_file`; problem: why they are not all."""

    name: str
    entries: dict[str, dict[str, Any]]
    problem: str = ""

    @property
    def unknown(self) -> list[str]:
        """Ids that no chapter of this edition has."""
        known = {task.id for chapter in chapters() for task in tasks(chapter)}
        return sorted(self.entries.keys() - known)


def read(file: Path, name: str) -> Student:
    """What a progress file says; never raises."""
    try:
        if not file.exists():
            raise FileNotFoundError("there is no such file")
        return Student(name, progress_file.load(file))
    except (OSError, ValueError) as error:
        return Student(name, {}, f"{file} cannot be read: {error}")


def run(notebook: Path, name: str, *, seconds: float = 300) -> Student:
    """What the checks say of a notebook's answers; seconds: limit of each cell.

    Cells that raise do not stop it; one that takes too long does, and what was passed
    before it counts. Never raises, but for Ctrl-C.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "progress.json"
        own = {progress_file.VARIABLE: str(file), "MOE_LIB_PROFILE": "quick"}
        os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # this Python's kernel
        problem = ""
        try:
            import nbformat  # JupyterLab brings both; Colab and the library need none
            from nbclient import NotebookClient

            NotebookClient(
                nbformat.read(notebook, as_version=4),
                timeout=seconds,
                kernel_name="python3",
                allow_errors=True,
                extra_arguments=["--log-level=40"],  # errors only
                resources={"metadata": {"path": folder}},
            ).execute(env={**os.environ, **own, "MOE_LIB_BARS": "0"})
        except Exception as error:  # no notebook, no kernel, too slow, a dead kernel
            reason = str(error).partition("\n")[0]
            problem = f"{notebook} did not run to its end: {reason}"
        done = read(file, name) if file.exists() else Student(name, {})
    return Student(name, done.entries, problem or done.problem)


def collect(place: Path, *, notebooks: bool = False) -> list[tuple[Path, str]]:
    """The files of a folder, or the file itself, each with its owner's name."""
    own = place / "progress.json"
    if not place.is_dir():
        found, above = {place}, place.parent.parent
    elif notebooks:
        found, above = set(place.rglob("*.ipynb")), place
    elif own.exists():
        found, above = {own}, place.parent
    else:
        found, above = {*place.glob("*.json"), *place.rglob("progress.json")}, place
    return [
        (file, _name(file, above))
        for file in sorted(found)
        if ".ipynb_checkpoints" not in file.parts
    ]


def _name(file: Path, above: Path) -> str:
    """ "class/anna/progress.json" and "class/anna.json" in "class" -> "anna"."""
    owner = file.parent if file.name == "progress.json" else file.with_suffix("")
    name = str(owner.relative_to(above))
    return owner.resolve().name if name == "." else name


def one(student: Student) -> list[Sequence[object]]:
    """A row per exercise of the chapters that the student has begun."""
    rows: list[Sequence[object]] = [ONE]
    for chapter in chapters():
        if any(task.id in student.entries for task in tasks(chapter)):
            rows += [_row(student, task.id, task.title) for task in tasks(chapter)]
    return rows + [_row(student, id, UNKNOWN) for id in student.unknown]


def _row(student: Student, id: str, title: str) -> Sequence[object]:
    entry = student.entries.get(id)
    if entry is None:
        return id, title, "open", 0, "", ""
    return (id, title, entry["state"], entry["attempts"], entry["first_passed"] or "",
            entry["diagnosis"])  # fmt: skip


def many(students: Sequence[Student]) -> list[Sequence[object]]:
    """How many exercises each has passed, by chapter; above, how many there are."""
    every = {chapter: [task.id for task in tasks(chapter)] for chapter in chapters()}
    sizes = [len(ids) for ids in every.values()]
    rows = [("student", *every, "total"), ("(there are)", *sizes, sum(sizes))]
    for student in students:
        passed = {i for i, e in student.entries.items() if e["state"] == "passed"}
        counts = [len(passed.intersection(ids)) for ids in every.values()]
        rows.append((student.name, *counts, sum(counts)))
    return rows


def _safe(cell: object, spreadsheet: bool) -> str:
    """Others wrote it: no control characters in a terminal, no formula in a cell."""
    text = "".join(c if c.isprintable() else " " for c in str(cell))
    return f"'{text}" if spreadsheet and text.startswith(tuple("=+-@")) else text


def show(rows: Sequence[Sequence[object]], as_csv: bool) -> None:
    """Print the rows: aligned columns, or comma-separated values."""
    cells = [[_safe(cell, as_csv) for cell in row] for row in rows]
    if as_csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows(cells)
        return
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (c.ljust(width) for c, width in zip(row, widths, strict=True))
        print("  ".join(padded).rstrip())


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m moe_lib.course.gradebook",
        description="Prints students' progress files as a table.",
    )
    parser.add_argument("places", nargs="+", type=Path, metavar="FILE_OR_FOLDER")
    parser.add_argument("--csv", action="store_true", help="for a spreadsheet")
    told = "execute submitted notebooks: runs students' code with your rights"
    parser.add_argument("--run", action="store_true", help=told)
    told = "limit of a notebook's cell: %(default)s"
    parser.add_argument("--seconds", type=float, default=300, help=told)
    options = parser.parse_args()
    students, problems = [], []
    for place in options.places:
        files = collect(place, notebooks=options.run)
        for file, name in files:
            limit = {"seconds": options.seconds} if options.run else {}
            students.append((run if options.run else read)(file, name, **limit))
        if not files:
            problems.append(f"{place} has no progress file or notebook in it")
    problems += [student.problem for student in students if student.problem]
    readable = [s for s in students if s.entries or not s.problem]
    notes = []
    if len(students) == 1 and readable:
        show(one(readable[0]), options.csv)
    elif readable:
        show(many(readable), options.csv)
        notes = [f"{s.name}: {', '.join(s.unknown)} {UNKNOWN}" for s in readable
                 if s.unknown]  # fmt: skip
    for text in notes + problems:
        print(_safe(text, False), file=sys.stderr)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
