"""What this machine has, and what to do about what it lacks."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from moe_lib.course.setup import Course
from moe_lib.course.table import Table

INSTALL = "run `make lab` in the course's folder, or pip install -e '.[lab]'"


@dataclass(frozen=True)
class Finding:
    """One row: ``remedy`` is empty where all is well."""

    what: str
    found: str
    remedy: str = ""


def self_test(course: Course) -> Table:
    """Look at Python, torch, widgets, data and room; a table with a remedy per problem.

    The plain-text form says "all is well", or names what is not.
    """
    findings = [*_findings(course)]
    bad = [f for f in findings if f.remedy]
    text = "self-test: all is well" if not bad else "self-test: " + "; ".join(
        f"{f.what} - {f.remedy}" for f in bad
    )  # fmt: skip
    rows = [(f.what, f.found, f.remedy or "fine") for f in findings]
    return Table(["what", "found here", "what to do"], rows, text)


def _findings(course: Course) -> Iterator[Finding]:
    old = sys.version_info < (3, 11)
    yield Finding("Python", platform.python_version(),
                  "install Python 3.11 or newer" if old else "")  # fmt: skip
    yield _trial("torch", torch.__version__, _one_step)
    if course.device.type == "cuda":
        yield Finding("GPU", torch.cuda.get_device_name())
    else:
        yield Finding("GPU", "none; not needed for the quick profile")
    yield Finding("CPU", f"{os.cpu_count()} cores, {torch.get_num_threads()} in use")
    for package in ("plotly", "ipywidgets", "anywidget", "scipy", "scikit-learn"):
        yield _package(package)
    yield _trial("vowels of 1952", "1,520 measurements", _vowels)
    yield _trial("exercises", "check themselves", _exercise)
    free = shutil.disk_usage(".").free / 2**30
    room = "plenty" if free > 5 else f"{free:.1f} GiB free"
    remedy = "free a gigabyte: results are stored here" if free < 1 else ""
    yield Finding("disk", room, remedy)
    yield Finding("profile", course.profile)


def _package(name: str) -> Finding:
    try:
        return Finding(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "missing", INSTALL)


def _trial(what: str, found: str, action: Callable[[], None]) -> Finding:
    try:
        action()
    except Exception as error:  # whatever is wrong belongs in the table
        return Finding(what, f"{type(error).__name__}: {error}", INSTALL)
    return Finding(what, found)


def _one_step() -> None:
    weight = torch.ones(2, requires_grad=True)
    (weight.square().sum()).backward()
    if not torch.equal(weight.grad, torch.full((2,), 2.0)):
        raise RuntimeError("a gradient of 2 came out wrong")


def _vowels() -> None:
    from moe_lib.data.vowels import WORDS, load_vowels

    count = len(load_vowels(tuple(WORDS)))
    if count != 1520:
        raise RuntimeError(f"{count} measurements instead of 1,520")


def _exercise() -> None:
    from moe_lib.course.checking import check
    from moe_lib.course.exercises import find

    item = find("00.1")
    verdict = check(item, item.solution)
    if not verdict.passed:
        raise RuntimeError(verdict.message)
