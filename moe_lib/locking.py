"""One process at a time at a file, also where one was killed in the middle."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock


def locked(file: Path, patience: float = 10.0) -> BaseFileLock:
    """A context in which no other process of this machine is with ``file``.

    The system frees the lock when its holder ends, however it ends. The lock itself
    lies among the temporary files, so that no folder of the reader's fills with them.

    Raises:
        TimeoutError: on entering, after ``patience`` seconds of waiting.
    """
    from filelock import FileLock  # torch needs it anyway; imported where it is used

    digest = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:16]
    lock = Path(tempfile.gettempdir(), f"moe_lib-{digest}.lock")
    return FileLock(lock, timeout=patience)
