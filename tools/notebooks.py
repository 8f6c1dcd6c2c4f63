"""Execute chapters/*.py into tidy chapters/*.ipynb (``make notebooks``).

    python tools/notebooks.py [--check] [--jobs N] [--folder DIR] [NAME ...]

An unchanged chapter gives a byte-identical file. --check executes nothing: it
says whether the stored notebooks were made from today's sources.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Tiny tensors are slower, and results less stable, on several threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")  # this Python's kernel

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm import tqdm

from notebook_file import METADATA, ChapterError, write
from sources import (
    CHAPTERS,
    chapter_names,
    is_stale,
    read_notebook,
    source_cells,
    with_ids,
)
from stills import add_stills, stored_stills
from tidy import tidied

CELL_TIMEOUT = 120  # seconds
#: Each stalls nbclient, or opens a browser, or leaves nothing in the file.
FORBIDDEN = re.compile(r"\binteract(ive)?\(|\bOutput\(|\.show\(\)")


def empty_notebook(path: Path) -> nbformat.NotebookNode:
    """The notebook of a py:percent file, not yet executed.

    Raises ChapterError for a cell that uses what chapters may not use.
    """
    cells = with_ids(source_cells(path))
    for cell in cells:
        bad = FORBIDDEN.search(cell["source"])
        if cell["cell_type"] == "code" and bad:
            raise ChapterError(
                f"{path.name}: `{bad[0]}` may not stand in a chapter: end the cell "
                "with the figure or the Player itself"
            )
        tags = cell.pop("tags")
        cell["metadata"] = {"tags": tags} if tags else {}
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return nbformat.from_dict(
        {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}
    )


def executed(path: Path, clients: list, bar: tqdm) -> tuple[dict, float]:
    """Run the chapter; ``(tidy notebook, seconds)``."""
    notebook = empty_notebook(path)
    started = time.perf_counter()
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        extra_arguments=["--log-level=40"],  # errors only
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_executed=lambda **_: bar.update(),
    )
    clients.append(client)
    try:
        client.execute()
    except CellExecutionError as error:
        raise ChapterError(f"{path.name}: {error}") from None
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata.pop("execution", None)
            cell.outputs = nbformat.from_dict(tidied(cell.outputs))
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook, time.perf_counter() - started


def execute_all(paths: list[Path], jobs: int) -> dict[Path, object]:
    """Run chapters side by side: path -> ``(notebook, seconds)`` or the error."""
    clients: list[NotebookClient] = []
    results: dict[Path, object] = {}
    cells = sum(c["cell_type"] == "code" for p in paths for c in source_cells(p))
    with (
        tqdm(total=cells, unit="cell", disable=None) as bar,
        ThreadPoolExecutor(jobs) as pool,
    ):
        futures = {path: pool.submit(executed, path, clients, bar) for path in paths}
        try:
            for path, future in futures.items():
                bar.set_postfix_str(path.stem)
                results[path] = future.exception() or future.result()
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for client in clients:  # a kernel does not hear Ctrl-C by itself
                if client.km and (pid := getattr(client.km.provisioner, "pid", None)):
                    os.kill(pid, signal.SIGKILL)
            raise
    return results


def build(paths: list[Path], jobs: int) -> int:
    """Execute, add stills, write; the number of chapters that failed."""
    results = execute_all(paths, jobs)
    done = {p: r for p, r in results.items() if not isinstance(r, BaseException)}
    known: dict[str, str] = {}
    for path in done:
        if path.with_suffix(".ipynb").exists():
            known |= stored_stills(read_notebook(path.with_suffix(".ipynb")))
    if problem := add_stills([notebook for notebook, _ in done.values()], known):
        print(problem)
    for path, result in results.items():
        try:
            if isinstance(result, BaseException):
                raise result
            size = write(result[0], path.with_suffix(".ipynb"))
            print(f"{path.stem:32} {result[1]:6.1f} s {size:>9}")
        except Exception as error:
            done.pop(path, None)
            print(f"{path.stem}: FAILED, the old notebook stays\n{error}")
    return len(paths) - len(done)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="chapters, such as 00_start_here")
    parser.add_argument("--check", action="store_true", help="only compare sources")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--folder", type=Path, default=CHAPTERS)
    options = parser.parse_args()
    every = chapter_names(options.folder)
    names = [Path(n).stem for n in options.names] or every
    if unknown := set(names) - set(every):
        parser.error(f"no chapter {', '.join(unknown)}; there are {', '.join(every)}")
    if options.check:
        stale = [n for n in names if is_stale(n, options.folder)]
        for name in stale:
            print(f"{name}.ipynb is older than {name}.py: run make notebooks")
        return bool(stale)
    folder = options.folder.resolve()
    return bool(build([folder / f"{name}.py" for name in names], options.jobs))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted: the notebooks are as they were")
