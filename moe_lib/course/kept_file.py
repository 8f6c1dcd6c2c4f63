"""Small JSON files of the reader's: nothing in them is lost, whatever happens.

A change reads the file anew under a lock and replaces it in one step: two notebooks at
once both leave their entries, and who reads the file sees the old or the new one,
whole. A file that cannot be read is set aside under a name of its own. Troubles of the
disk are told, once for each file, and never stop a chapter.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moe_lib.locking import LockError, locked

Entries = dict[str, Any]
VARIABLE = "MOE_LIB_PROGRESS"  # names the progress file; the others stand beside it

_told: dict[Path, str] = {}


def read(file: Path, entries_of: Callable[[Any], Entries]) -> tuple[Entries, str]:
    """``(entries, problem)``: no entries where they cannot be read, and why.

    Args:
        entries_of: the file's JSON -> its entries; ValueError where it has none.
    """
    try:
        return load(file, entries_of), _told.get(file, "")
    except OSError as error:
        return {}, f"{file.name} cannot be read: {file}: {_reason(error)}"
    except ValueError as error:
        return {}, (
            f"{file.name} cannot be read ({error}): mend or delete it; the next"
            " answer sets it aside and begins a new one"
        )


def change(
    file: Path,
    entries_of: Callable[[Any], Entries],
    edit: Callable[[Entries], Any],
    what: str,
) -> str:
    """Replace the file's content; what the reader has to know, mostly "".

    Args:
        entries_of: as for `read`.
        edit: entries -> new content for JSON, or None to leave the file alone.
        what: is not kept where that fails, such as "your progress".
    """
    note = ""
    try:
        target = Path(os.path.realpath(file))  # a link stays one
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target):
            try:
                entries = load(target, entries_of)
            except ValueError as error:
                aside, entries = _set_aside(target), {}
                note = (
                    f"{file.name} could not be read ({error}): it is now {aside.name}"
                )
            if (content := edit(entries)) is not None:
                _write(target, content)
        note = note and f"{note}, a new one begun"
    except OSError as error:
        text = f"{what} is not kept: {_trouble(file, error)}; then run this cell again"
        told, _told[file] = _told.get(file), text
        return note if told == text else "; ".join(filter(None, (note, text)))
    _told.pop(file, None)
    return note


def load(file: Path, entries_of: Callable[[Any], Entries]) -> Entries:
    """{} where there is no file; OSError or ValueError where it cannot be read."""
    try:
        text = file.read_text("utf-8-sig")  # Windows editors put a mark before it
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise ValueError("it is no text") from None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    return entries_of(content)


def _set_aside(file: Path) -> Path:
    """Rename it to a name that is free."""
    number, aside = 1, file.with_name(f"{file.name}.broken")
    while aside.exists():
        number += 1
        aside = file.with_name(f"{file.name}.broken-{number}")
    return file.rename(aside)


def _write(file: Path, content: Any) -> None:
    draft = file.with_name(f"{file.name}.new")  # of whoever has the lock
    text = json.dumps(content, indent=2, ensure_ascii=False)
    try:
        draft.write_text(text, "utf-8", "backslashreplace")
        os.replace(draft, file)
    finally:
        draft.unlink(missing_ok=True)


def _trouble(file: Path, error: OSError) -> str:
    """What is wrong, and the remedy."""
    if isinstance(error, LockError | TimeoutError):
        return str(error)
    return (
        f"{file}: {_reason(error)}. Make room and allow writing there, or run"
        f" %env {VARIABLE}=/another/folder/progress.json"
    )


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
