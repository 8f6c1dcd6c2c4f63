"""What students hand in: progress files to read, and notebooks to run."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moe_lib.course import progress_file
from moe_lib.course.exercises import chapters, tasks

if TYPE_CHECKING:
    from nbclient import NotebookClient


@dataclass(frozen=True)
class Student:
    """Entries by exercise id, as in `progress_file`.

    Args:
        problem: why they are not all.
        note: what else there is to know.
    """

    name: str
    entries: dict[str, dict[str, Any]]
    problem: str = ""
    note: str = ""

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
        own = {progress_file.GRADEBOOK: str(file), "MOE_LIB_PROFILE": "quick"}
        os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # this Python's kernel
        problem = note = ""
        try:
            import nbformat  # JupyterLab brings both; Colab and the library need none
            from nbclient import NotebookClient

            client = NotebookClient(
                nbformat.read(notebook, as_version=4),
                timeout=seconds,
                kernel_name="python3",
                allow_errors=True,
                extra_arguments=["--log-level=40"],  # errors only
                resources={"metadata": {"path": folder}},
            )
            _execute(client, {**os.environ, **own, "MOE_LIB_BARS": "0"})
        except Exception as error:  # no notebook, no kernel, too slow, a dead kernel
            reason = str(error).partition("\n")[0]
            problem = f"{notebook} did not run to its end: {reason}"
        done = read(file, name) if file.exists() else Student(name, {})
        if not file.exists() and not problem:
            note = f"{notebook} recorded nothing: look whether its first cells fail"
    return Student(name, done.entries, problem or done.problem, note)


def _execute(client: NotebookClient, env: dict[str, str]) -> None:
    """In a thread, since on the main one nbclient keeps Ctrl-C to itself."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.execute, env=env)
        try:
            running.result()
        except KeyboardInterrupt:
            while not running.done():  # the kernel may be about to start
                if client.km and (pid := getattr(client.km.provisioner, "pid", None)):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                time.sleep(0.1)
            raise


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


def passed_over(place: Path, files: list[tuple[Path, str]]) -> list[str]:
    """What to say where a folder's own file stands for a whole class."""
    seen = {file for file, _ in files}
    copies = {"my_work", ".ipynb_checkpoints"}
    below = (f for f in place.rglob("progress.json") if not copies & {*f.parts})
    more = [file for file in below if file not in seen]
    told = f"stands for the whole folder: {len(more)} below it are not read"
    return [f"{place / 'progress.json'} {told}; name their folders"] if more else []


def _name(file: Path, above: Path) -> str:
    """ "class/anna/progress.json" and "class/anna.json" in "class" -> "anna"."""
    owner = file.parent if file.name == "progress.json" else file.with_suffix("")
    name = str(owner.relative_to(above))
    return owner.resolve().name if name == "." else name
