"""What the reader has passed so far, kept in a small file beside the notebooks.

The file is ``progress.json`` in the current folder, which for a notebook is its own;
the environment variable MOE_LIB_PROGRESS names another one, or says "off". Deleting
it only forgets. It is plain JSON in UTF-8:

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
running an untouched chapter writes nothing. Every write reads the file anew under a
lock (``progress.json.lock``) and replaces it in one step: two notebooks at once both
leave their entries, and a reader of the file sees the old or the new one, whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from moe_lib.course.checking import Verdict

FORMAT = 1
VARIABLE = "MOE_LIB_PROGRESS"
#: Seconds to wait for another notebook's lock; one as old as that was left behind.
PATIENCE = 2.0

_told: set[str] = set()


def path() -> Path | None:
    """Where progress is kept; None where it is switched off."""
    name = os.environ.get(VARIABLE, "progress.json")
    return None if name.strip().lower() == "off" else Path(name).expanduser()


def read() -> dict[str, dict[str, Any]]:
    """Entries by exercise id; {} where there is no file, or none that can be read."""
    try:
        return _entries(path())
    except (OSError, ValueError):
        return {}


def record(verdict: Verdict) -> str:
    """Keep a verdict on a written answer; what the reader has to know, mostly "".

    Never raises: a full disk or a folder without write access is told once.
    """
    file = path()
    if file is None:
        return ""
    try:
        with _locked(file):
            return _merge(file, verdict)
    except OSError as error:
        text = f"your progress is not kept: {file}: {error.strerror or error}"
        first = text not in _told
        _told.add(text)
        return text if first else ""


def _merge(file: Path, verdict: Verdict) -> str:
    note = ""
    try:
        entries = _entries(file)
    except ValueError:
        broken = file.with_name(f"{file.name}.broken")
        os.replace(file, broken)
        note = (
            f"{file.name} could not be read: it is now {broken.name}, a new one begun"
        )
        entries = {}
    old = entries.get(verdict.id, {"attempts": 0, "diagnosis": ""})
    if old.get("state") == "passed":
        return note
    entries[verdict.id] = {
        "state": "passed" if verdict.passed else "tried",
        "attempts": old["attempts"] + 1,
        "first_passed": date.today().isoformat() if verdict.passed else None,
        "diagnosis": old["diagnosis"] if verdict.passed else verdict.diagnosis,
    }
    _write(file, entries)
    return note


def _entries(file: Path | None) -> dict[str, dict[str, Any]]:
    """Read and check the file; ValueError if it is not what `_write` writes."""
    if file is None or not file.exists():
        return {}
    content = json.loads(file.read_text("utf-8"))
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError("no progress file of this format")
    entries = content.get("exercises")
    if not isinstance(entries, dict) or not all(map(_is_entry, entries.values())):
        raise ValueError("no entries by exercise")
    return entries


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.get("state") in ("passed", "tried")
        and isinstance(entry.get("attempts"), int)
        and isinstance(entry.get("diagnosis"), str)
        and isinstance(entry.get("first_passed"), str | None)
    )


def _write(file: Path, entries: dict[str, dict[str, Any]]) -> None:
    content = {"format": FORMAT, "exercises": dict(sorted(entries.items()))}
    draft = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        draft.write_text(json.dumps(content, indent=2, ensure_ascii=False), "utf-8")
        os.replace(draft, file)
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold ``FILE.lock``, which only one process can make at a time."""
    lock = file.with_name(f"{file.name}.lock")
    until = time.monotonic() + PATIENCE
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
            break
        except FileExistsError:
            if time.monotonic() > until:  # whoever made it is gone
                lock.unlink(missing_ok=True)
                until = time.monotonic() + PATIENCE
            time.sleep(0.01)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
