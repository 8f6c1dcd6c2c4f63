"""Ranks: the processes that run one script together, under torchrun.

In a script: ``rank, ranks, device = start_rank()``. From a shell: ``torchrun
--nproc-per-node 2 SCRIPT``. From a notebook: ``run_ranks("SCRIPT", ranks=2)``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from moe_lib.checks import require_count, require_positive
from moe_lib.joining import MARK, start_rank
from moe_lib.running import deferred_interrupt, progress

__all__ = ["RanksError", "RanksRun", "run_ranks", "start_rank", "torchrun_command"]

#: What torchrun prints of each rank that failed.
FAILURE = re.compile(r"rank\s*: (\d+) \(local_rank.*\n\s*exitcode\s*: (-?\d+)")
#: How the lines begin that torchrun writes itself.
OWN_WORDS = re.compile(r"^[IWE]\d{4} ", re.MULTILINE)


@dataclass(frozen=True)
class RanksRun:
    """A run that ended well.

    log: all that the ranks printed. starting, working: seconds until the last rank had
    joined (0 if the script does not call `start_rank`), and from there to the end.
    """

    ranks: int
    log: str = field(repr=False)
    starting: float = field(repr=False)
    working: float = field(repr=False)


class RanksError(RuntimeError):
    """One line: which rank failed, and of what. ``log`` has all that was printed."""

    def __init__(self, line: str, log: str) -> None:
        super().__init__(line)
        self.log = log


def torchrun_command(script: str | Path, *args: object, ranks: int = 2) -> list[str]:
    """The command for ``ranks`` processes on this machine.

    Raises:
        ValueError: ``script`` is no file that ends in .py, and no module.
    """
    require_count("ranks", ranks)
    name = str(script)
    is_file = name.endswith(".py")
    try:
        found = Path(name).is_file() if is_file else importlib.util.find_spec(name)
    except ModuleNotFoundError:  # not even its package
        found = None
    if not found:
        raise ValueError(
            f"script={name!r} was not found: give a path that ends in .py, or a module"
        )
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    script_of = [name] if is_file else ["-m", name]
    return [*run, "--nproc-per-node", str(ranks), *script_of, *map(str, args)]


def run_ranks(
    script: str | Path,
    *args: object,
    ranks: int = 2,
    timeout: float = 120.0,
    env: Mapping[str, str] | None = None,
) -> RanksRun:
    """Run a script or a module in ``ranks`` processes under torchrun, and wait.

    However it ends, by itself, by an error, ``timeout`` seconds after its start or by
    Ctrl-C, none of its processes is left. The ranks share the cores of this machine.

    Args:
        args: for the script, each as one word.
        env: environment variables for the ranks, beside those of this process.

    Raises:
        RanksError: a rank failed, or the time is over.
        ValueError: no such script; no positive number of ranks or seconds.
    """
    require_positive("timeout", timeout)
    command = torchrun_command(script, *args, ranks=ranks)
    threads = max(1, (os.cpu_count() or 1) // ranks)
    with tempfile.TemporaryDirectory(prefix="moe_lib_ranks_") as name:
        folder, log = Path(name), Path(name, "log")
        told = {**os.environ, "OMP_NUM_THREADS": str(threads), **(env or {})}
        began = time.time()
        with log.open("w") as file:
            torchrun = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=file, stderr=subprocess.STDOUT,
                env={**told, "PYTHONUNBUFFERED": "1", MARK: name},
                start_new_session=True,
            )  # fmt: skip
        try:
            in_time = _wait(torchrun, folder, ranks, timeout)
        finally:
            _stop(torchrun, name)
        ended = time.time()
        text = log.read_text(errors="replace")
        if not in_time:
            raise RanksError(
                f"the {ranks} ranks were not done after {timeout:g} s and were stopped:"
                " give run_ranks a larger timeout, or look into the error's .log",
                text,
            )
        if torchrun.returncode:
            raise RanksError(_cause(text, folder, ranks, torchrun.returncode), text)
        joined = [float(note.read_text()) for note in folder.glob("*.started")]
    starting = max(joined, default=began) - began
    return RanksRun(ranks, text, starting, ended - began - starting)


def _wait(torchrun: subprocess.Popen, folder: Path, ranks: int, timeout: float) -> bool:
    """Whether torchrun ends in time; the bar counts ranks that join and that end."""
    deadline = time.monotonic() + timeout
    with progress(2 * ranks, f"{ranks} ranks start, then work") as bar:
        while torchrun.poll() is None:
            if time.monotonic() > deadline:
                return False
            notes = [*folder.glob("*.started"), *folder.glob("*.ended")]
            bar.update(len(notes) - bar.n)
            time.sleep(0.05)
    return True


def _stop(torchrun: subprocess.Popen, folder: str) -> None:
    """Leave no process of this run alive; a first Ctrl-C waits for that."""
    with deferred_interrupt() as asked:
        torchrun.stdin.close()  # the ranks that called `start_rank` end by this
        torchrun.terminate()
        try:
            torchrun.wait(5)
        except subprocess.TimeoutExpired:
            torchrun.kill()
            torchrun.wait()
        deadline = time.monotonic() + 5
        while (left := _marked(folder)) and time.monotonic() < deadline:
            for process in left:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.02)
    if asked.is_set():
        raise KeyboardInterrupt


def _marked(folder: str) -> list[int]:
    """The processes that carry this run's mark, where /proc tells (on Linux)."""
    mark, found = f"{MARK}={folder}".encode(), []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
        except OSError:  # somebody else's, or just gone
            continue
    return found


def _cause(log: str, folder: Path, ranks: int, code: int) -> str:
    """One line: a kill, else an exit without an exception, else the first exception.

    A rank that meets a dead one fails later, and torchrun ends the rest by SIGTERM.
    """
    if code < 0:
        return f"torchrun was killed by {signal.Signals(-code).name}, and its ranks too"
    notes = [json.loads(note.read_text()) for note in folder.glob("*.error")]
    noted = {rank for _, rank, _ in notes}
    failures = [(int(rank), int(exit)) for rank, exit in FAILURE.findall(log)]
    for rank, exit in failures:
        if exit < 0 and -exit not in (signal.SIGTERM, signal.SIGABRT):
            return (
                f"rank {rank} of {ranks} was killed by {signal.Signals(-exit).name},"
                " and the others were stopped: if nobody did it, memory ran short"
            )
    for rank, exit in failures:
        if exit > 0 and rank not in noted:
            said = OWN_WORDS.split(log)[0].strip() or "nothing was printed"
            last = said.splitlines()[-1]
            return f"rank {rank} of {ranks} ended with exit code {exit}: {last}"
    for _, rank, line in sorted(notes):
        return f"rank {rank} of {ranks}: {line}"
    return f"torchrun ended with exit code {code}: look into the error's .log"
