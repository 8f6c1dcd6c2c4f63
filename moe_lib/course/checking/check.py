"""Run the reader's function on an exercise's cases and judge what comes out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from moe_lib.course.checking.calling import (
    Outcome,
    answer,
    attempt,
    not_written,
    unfit,
)
from moe_lib.course.checking.comparing import Difference, difference, shared_reason
from moe_lib.course.checking.grids import answer_grids, first_wrong_row, input_grids
from moe_lib.course.checking.readers_line import readers_line
from moe_lib.course.checking.verdict import FAILS, NOT_WRITTEN, PASSES, Verdict

if TYPE_CHECKING:
    from moe_lib.course.exercises import Exercise

#: Longest that one call of the reader's function may take.
SECONDS = 5.0


#: What torch says of common slips -> what to look at.
ERRORS = {
    "must match the size": "the shapes do not line up: a dimension of size 1"
    " (unsqueeze, or None in an index) makes them",
    "same dtype": "make new tensors like the inputs: torch.zeros_like(x), or"
    " dtype=x.dtype",
    "expected scalar type": "convert one of the two: .to(x.dtype)",
}


def check(item: Exercise, function: Any, *, seconds: float = SECONDS) -> Verdict:
    """The verdict on ``function``, told on the smallest case where it fails.

    A call may take ``seconds``. Each sees its own copy of the inputs and the same
    random numbers; torch's random state is left as it was.
    """
    names = list(inspect.signature(item.solution).parameters)
    if problem := unfit(function, names):
        return Verdict(item.id, FAILS, problem)
    for number, case in enumerate(item.cases, 1):
        got = attempt(function, case, seconds)
        if not_written(function, got):
            return Verdict(item.id, NOT_WRITTEN, item.title)
        if got.error:
            fault = {
                "message": got.problem(seconds),
                "line": readers_line(got.error, function),
                "inputs": input_grids(names, case),
                "likely": next(
                    (v for k, v in ERRORS.items() if k in str(got.error)), ""
                ),
            }
        else:
            fault = _changed_input(names, case, got) or _wrong_answer(
                item, function, names, case, got.value, seconds
            )
        if fault:
            place = f"case {number} of {len(item.cases)}, the smallest that fails"
            return Verdict(item.id, FAILS, place=place, **fault)
    return Verdict(item.id, PASSES, f"all {len(item.cases)} cases ({item.title})")


def _changed_input(names: list[str], case: tuple, got: Outcome) -> dict[str, Any]:
    """Fields of the verdict on a function that writes into its input; else {}."""
    for name, before, after in zip(names, case, got.arguments, strict=True):
        if not isinstance(before, Tensor | list | dict):
            continue
        if found := difference(after, before, 0.0):
            labels = (f"{name} afterwards", f"{name} before")
            return {
                "message": f"it changes its input {name}",
                "answers": answer_grids(labels, after, before, found.wrong),
                "likely": "something works in place (+=, x[...] = or a method such as"
                f" exp_): give the result a new name, or start from {name}.clone()",
            }
    return {}


def _wrong_answer(
    item: Exercise,
    function: Callable,
    names: list[str],
    case: tuple,
    got: Any,
    seconds: float,
) -> dict[str, Any]:
    """Fields of the verdict on a wrong answer; {} if it is right."""
    expected = answer(item.solution, case)
    try:
        found = difference(got, expected, item.tolerance)
    except Exception as error:  # the reader may return anything
        found = Difference(got, expected, f"its answer cannot be compared: {error}")
    if not found:
        return {}
    labels = ("your answer", "expected")
    return {
        "message": found.problem,
        "inputs": input_grids(names, case, first_wrong_row(found.wrong)),
        "answers": answer_grids(labels, found.got, found.expected, found.wrong),
        "likely": _diagnosis(item, function, seconds, found),
    }


def _diagnosis(
    item: Exercise, function: Callable, seconds: float, found: Difference
) -> str:
    """The known mistake that answers alike on every case, else what the values have
    in common or what this answer alone tells; "" where nothing is known."""
    outcomes = [attempt(function, case, seconds) for case in item.cases]
    if any(outcome.error for outcome in outcomes):
        return found.likely
    answers = [outcome.value for outcome in outcomes]
    for message, mistake in item.mistakes.items():
        if _equal_on_all(item, answers, mistake):
            return message
    if found.wrong is None:
        return found.likely
    expected = [answer(item.solution, case) for case in item.cases]
    return shared_reason(list(zip(answers, expected, strict=True)))


def _equal_on_all(item: Exercise, answers: list, function: Callable) -> bool:
    for case, got in zip(item.cases, answers, strict=True):
        try:
            if difference(got, answer(function, case), item.tolerance):
                return False
        except Exception:  # only a guess is at stake
            return False
    return True
