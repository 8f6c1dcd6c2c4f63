"""What the reader has passed so far, kept in a small file beside the notebooks.

The file is ``progress.json`` in the current folder, which for a notebook is its own,
and for the copies in ``chapters/my_work/DATE`` that of the chapters; the environment
variable MOE_LIB_PROGRESS names another one, or says "off". Deleting it only forgets.
It is plain JSON in UTF-8:

    {
      "format": 1,
      "exercises": {
        "01.2": {
          "state": "passed",              "passed" or "tried"
          "attempts": 3,                  up to and with the one that passed
          "first_passed": "2025-11-24",   the local date; null while not passed
          "diagnosis": "the half in ..."  what was said of the last wrong attempt
        }
      }
    }

An exercise once passed stays as it is. One that nobody has started has no entry, so
running an untouched chapter writes nothing. Entries of exercises that there are no
more stay, unseen. `moe_lib.course.kept_file` reads and writes it.
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

from moe_lib.course import kept_file
from moe_lib.course.checking import Verdict
from moe_lib.course.kept_file import VARIABLE, Entries

FORMAT = 1
GRADEBOOK = "MOE_LIB_GRADEBOOK"  # goes before VARIABLE: a notebook may set that one
MANY = 10**9  # attempts; more are no count, and no number that every program reads


def path() -> Path | None:
    """Where progress is kept; None where it is switched off."""
    name = os.environ.get(GRADEBOOK) or os.environ.get(VARIABLE, "")
    name = name.strip(" \"'")  # %env takes quotes for a part of the name
    if name.lower() == "off":
        return None
    try:
        here = Path.cwd()
    except OSError:  # deleted; writing will say so
        here = Path()
    if not name and here.match("chapters/my_work/*"):
        here = here.parent.parent
    return here / os.path.expanduser(name or "progress.json")


def read() -> tuple[Entries, str]:
    """``(entries by exercise id, what kept them from being read or written)``."""
    file = path()
    return kept_file.read(file, _entries_of) if file else ({}, "")


def record(verdict: Verdict) -> str:
    """Keep a verdict on a written answer; what the reader has to know, mostly "".

    Never raises: a full disk or a folder without write access is told once.
    """
    file = path()
    if file is None:
        return ""

    def edit(entries: Entries) -> dict[str, Any] | None:
        old = entries.get(verdict.id, {"attempts": 0, "diagnosis": ""})
        if old.get("state") == "passed":
            return None
        entries[verdict.id] = {
            "state": "passed" if verdict.passed else "tried",
            "attempts": old["attempts"] + 1,
            "first_passed": date.today().isoformat() if verdict.passed else None,
            "diagnosis": old["diagnosis"] if verdict.passed else verdict.diagnosis,
        }
        return {"format": FORMAT, "exercises": dict(sorted(entries.items()))}

    return kept_file.change(file, _entries_of, edit, "your progress")


def load(file: Path) -> Entries:
    """Entries by exercise id of one file, {} without one; ValueError if unreadable."""
    return kept_file.load(file, _entries_of)


def _entries_of(content: Any) -> Entries:
    """The entries; ValueError if the content is not what `record` writes."""
    found = content.get("format") if isinstance(content, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise ValueError(
            f"its format {found} is of a newer edition of the course: get that one and"
            " give the file its name back"
        )
    entries = content.get("exercises") if found == FORMAT else None
    if not isinstance(entries, dict) or not all(map(_is_entry, entries.values())):
        raise ValueError("it is no progress file")
    return entries


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.get("state") in ("passed", "tried")
        and isinstance(entry.get("attempts"), int)
        and 0 <= entry["attempts"] < MANY
        and isinstance(entry.get("diagnosis"), str)
        and isinstance(entry.get("first_passed"), str | None)
    )
