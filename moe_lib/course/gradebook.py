"""Students' progress files as a table, and submitted notebooks run and judged.

    python -m moe_lib.course.gradebook anna/progress.json   # a row per exercise
    python -m moe_lib.course.gradebook class/               # a row per student
    python -m moe_lib.course.gradebook --run class/         # runs their notebooks

A progress file is its owner's own and can be edited. ``--run`` believes none: each
notebook is executed from top to bottom, quick profile, in a fresh kernel and an empty
folder, and what the course's checks then say is the table. **That runs students' code
with your rights**: do it in a container or an account that has nothing to lose. And a
notebook can write its own marks as well, so read the answers that you do not believe.
Ctrl-C ends it with the table of those that have run.

A folder gives its ``progress.json``; where it has none, all its ``*.json`` and the
``progress.json`` of the folders in it; with ``--run`` the notebooks in it. The exit
status is 1 if something could not be read or did not run to its end.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from moe_lib.course.exercises import chapters, tasks
from moe_lib.course.submissions import Student, collect, passed_over, read, run

UNKNOWN = "(not in this edition)"
ONE = ("exercise", "title", "state", "attempts", "first passed", "last diagnosis")


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
    first = entry.get("first_passed") or ""
    return id, title, entry["state"], entry["attempts"], first, entry["diagnosis"]


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
    formula = text.lstrip().startswith(tuple("=+-@"))
    return f"'{text}" if spreadsheet and formula else text


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
    if isinstance(sys.stdout, io.TextIOWrapper):  # Excel needs the mark of utf-8-sig
        encoding = "utf-8-sig" if options.csv else None
        sys.stdout.reconfigure(encoding=encoding, errors="replace")
    files, problems = [], []
    for place in options.places:
        files += (found := collect(place, notebooks=options.run))
        if not found:
            problems.append(f"{place} has no progress file or notebook in it")
        elif not options.run:
            problems += passed_over(place, found)
    students = []
    try:
        for file, name in _told_apart(files):
            if options.run:
                print(f"{len(students) + 1} of {len(files)}: {file}", file=sys.stderr)
                students.append(run(file, name, seconds=options.seconds))
            else:
                students.append(read(file, name))
    except KeyboardInterrupt:
        missing = f"{len(files) - len(students)} of {len(files)}"
        problems.append(f"stopped: {missing} have not run to the end")
    problems += [student.problem for student in students if student.problem]
    readable = [s for s in students if s.entries or not s.problem]
    notes = [student.note for student in students if student.note]
    if len(files) == 1 and readable:
        show(one(readable[0]), options.csv)
    elif readable:
        show(many(readable), options.csv)
        notes += [f"{s.name}: {', '.join(s.unknown)} {UNKNOWN}" for s in readable
                  if s.unknown]  # fmt: skip
    for text in notes + problems:
        print(_safe(text, False), file=sys.stderr)
    sys.stdout.flush()
    return bool(problems)


def _told_apart(files: list[tuple[Path, str]]) -> list[tuple[Path, str]]:
    """Two of one name get the names of their files."""
    counts = Counter(name for _, name in set(files))
    return [(file, name if counts[name] == 1 else str(file)) for file, name in files]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # as by | head: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
