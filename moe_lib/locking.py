"""One process at a time at a file, also where one was killed in the middle."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LockError(OSError):
    """There is no lock to be had: which, why, and what to do."""


@contextmanager
def locked(file: Path, patience: float = 10.0) -> Iterator[None]:
    """A context in which no other process of this machine is with ``file``.

    The system frees the lock when its holder ends, however it ends. The lock itself
    lies among the temporary files, so that no folder of the reader's fills with them.

    Raises:
        TimeoutError: on entering, after ``patience`` seconds of waiting.
        LockError: on entering, where the temporary files have no room for it.
    """
    from filelock import FileLock  # torch needs it anyway; imported where it is used

    digest = hashlib.sha256(os.path.realpath(file).encode()).hexdigest()[:16]
    path = f"moe_lib-{digest}.lock"
    try:
        path = os.path.join(tempfile.gettempdir(), path)
        lock = FileLock(path, timeout=patience)
        lock.acquire()
    except TimeoutError:
        raise TimeoutError(
            f"another process holds its lock, {path}: close the other notebook"
        ) from None
    except (OSError, NotImplementedError) as error:
        raise LockError(
            f"its lock cannot be made, {path} ({getattr(error, 'strerror', error)}):"
            " set TMPDIR to a folder that can be written and restart the kernel"
        ) from None
    try:
        yield
    finally:
        lock.release()
