"""Exercises that check themselves and name the likely mistake.

`@exercise("01.2")` over the reader's function runs it at once on small cases, from
the smallest up. Three answers are possible: not written yet, passes, fails. The name
is then bound to the reader's function if it passes, to the reference if not, so the
rest of the chapter always runs.
"""

from __future__ import annotations

import importlib
import inspect
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Exercise:
    """What the course knows about one exercise; see ``exercises_01.py``.

    solution: the reference function; its source is what `solution` shows.
    cases: argument tuples, the smallest first.
    mistakes: what to say -> a function that makes this mistake. If the reader's
        answers equal a mistake's on every case, that is the diagnosis.
    """

    id: str
    title: str
    hint: str
    solution: Callable[..., Any]
    cases: Sequence[tuple]
    mistakes: dict[str, Callable[..., Any]] = field(default_factory=dict)
    tolerance: float = 1e-6


def exercise(id: str) -> Callable[[Callable], Callable]:
    """Check the decorated function against exercise ``id`` and print the verdict."""
    known = find(id)

    def decorate(function: Callable) -> Callable:
        passed, message = check(known, function)
        print(message)
        return function if passed else known.solution

    return decorate


def hint(id: str) -> None:
    """Print the hint."""
    print(f"{id}  {find(id).hint}")


def solution(id: str) -> None:
    """Print the reference solution."""
    print(textwrap.dedent(inspect.getsource(find(id).solution)))


def find(id: str) -> Exercise:
    """The exercise with this id; the chapter is what stands before the dot."""
    chapter = str(id).split(".")[0]
    try:
        listed = importlib.import_module(f"moe_lib.course.exercises_{chapter}")
    except ModuleNotFoundError:
        raise ValueError(f"exercise {id!r}: no chapter {chapter!r} has any") from None
    for item in listed.EXERCISES:
        if item.id == id:
            return item
    ids = ", ".join(item.id for item in listed.EXERCISES)
    raise ValueError(f"exercise {id!r} is unknown: chapter {chapter} has {ids}")


def check(item: Exercise, function: Callable) -> tuple[bool, str]:
    """Whether ``function`` passes, and what to tell the reader."""
    for number, case in enumerate(item.cases, 1):
        expected = item.solution(*_copies(case))
        try:
            got = function(*_copies(case))
        except NotImplementedError:
            got = None
        except Exception as error:  # whatever the reader's code raises is an answer
            what = f"it raised {type(error).__name__}: {error}"
            return False, _failure(item, number, case, what, expected, "")
        if got is None or got is Ellipsis:
            return False, (
                f"{item.id}  not written yet - the chapter goes on with the reference."
                f' Try it; hint("{item.id}") and solution("{item.id}") are there.'
            )
        if not _equal(got, expected, item.tolerance):
            what = f"it gave {_show(got)}"
            likely = _diagnose(item, function)
            return False, _failure(item, number, case, what, expected, likely)
    return True, f"{item.id}  passes all {len(item.cases)} cases - {item.title}."


def _diagnose(item: Exercise, function: Callable) -> str:
    for message, mistake in item.mistakes.items():
        try:
            answers = [
                _equal(function(*_copies(c)), mistake(*_copies(c)), item.tolerance)
                for c in item.cases
            ]
        except Exception:  # only a guess is at stake
            continue
        if all(answers):
            return message
    return ""


def _failure(
    item: Exercise, number: int, case: tuple, what: str, expected: Any, likely: str
) -> str:
    names = inspect.signature(item.solution).parameters
    inputs = "\n".join(
        f"    {name} = {_show(value)}" for name, value in zip(names, case, strict=False)
    )
    lines = [
        f"{item.id}  fails on case {number} of {len(item.cases)}, the smallest:",
        inputs,
        f"    {what}",
        f"    expected {_show(expected)}",
    ]
    if likely:
        lines.append(f"    likely: {likely}")
    return "\n".join(lines)


def _equal(got: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, tuple):
        return (
            isinstance(got, tuple)
            and len(got) == len(expected)
            and all(_equal(a, b, tolerance) for a, b in zip(got, expected, strict=True))
        )
    if isinstance(expected, Tensor):
        return (
            isinstance(got, Tensor)
            and got.shape == expected.shape
            and torch.allclose(got.double(), expected.double(), tolerance, tolerance)
        )
    try:
        return bool(abs(got - expected) <= tolerance)
    except TypeError:
        return got == expected


def _show(value: Any) -> str:
    if isinstance(value, Tensor):
        rounded = [f"{list(value.shape)}", str((value.double() * 1e4).round() / 1e4)]
        text = rounded[1].replace("tensor(", "").replace(", dtype=torch.float64)", "")
        return f"{text}  shape {rounded[0]}"
    if isinstance(value, tuple):
        return "(" + ", ".join(_show(v) for v in value) + ")"
    return repr(value)


def _copies(case: tuple) -> tuple:
    """Fresh tensors, so that code that writes into its input harms only itself."""
    return tuple(v.clone() if isinstance(v, Tensor) else v for v in case)
