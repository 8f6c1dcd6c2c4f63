"""Call the reader's function safely, and tell whether it has been written at all."""

from __future__ import annotations

import copy
import dis
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from moe_lib.course.checking.time_limit import TimeUp, call_within


@dataclass(frozen=True)
class Outcome:
    """What one call gave: a value or an error, and its arguments afterwards."""

    value: Any
    error: BaseException | None
    arguments: tuple

    def problem(self, seconds: float) -> str:
        """The error in one clause, for a call that could take ``seconds``."""
        if isinstance(self.error, TimeUp):
            return f"it was stopped: still running after {seconds:g} seconds"
        if isinstance(self.error, KeyboardInterrupt):
            return "it was stopped by hand"
        text = " ".join(str(self.error).split())[:300]
        return f"it raises {type(self.error).__name__}" + (f": {text}" if text else "")


def attempt(function: Callable, case: tuple, seconds: float) -> Outcome:
    """Call the reader's function on its own copy of a case; nothing gets through,
    not Ctrl-C or exit() either: the chapter goes on."""
    arguments = copy.deepcopy(case)
    try:
        value = _seeded(call_within, seconds, function, *arguments)
    except BaseException as error:
        return Outcome(None, error, arguments)
    return Outcome(value, None, arguments)


def answer(function: Callable, case: tuple) -> Any:
    """What one of the course's own functions gives on a copy of the case."""
    return _seeded(function, *copy.deepcopy(case))


def _seeded(function: Callable, *args: Any) -> Any:
    """Call with the same random numbers every time, and leave torch's state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(0)
        return function(*args)


def unfit(function: Any, names: list[str]) -> str:
    """Why ``function`` cannot be called with ``names``; "" if it can."""
    wanted = ", ".join(names)
    if inspect.isclass(function) or not callable(function):
        what = "class" if inspect.isclass(function) else type(function).__name__
        return f"below @exercise stands a {what}; write def ...({wanted})"
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions in C have none
        return ""
    try:
        signature.bind(*names)
    except TypeError:
        return f"it is called with ({wanted}), but yours takes {signature}"
    return ""


def not_written(function: Callable, got: Outcome) -> bool:
    """Whether the call raised NotImplementedError itself, or there was no body."""
    if got.error is not None:
        return isinstance(got.error, NotImplementedError) and _by_raise(got.error)
    return got.value is Ellipsis or (got.value is None and _is_empty(function))


def _by_raise(error: BaseException) -> bool:
    """Whether a `raise` made the error; torch's own NotImplementedError is none."""
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    code = trace.tb_frame.f_code.co_code
    return dis.opname[code[trace.tb_lasti]] == "RAISE_VARARGS"


def _is_empty(function: Callable) -> bool:
    """Whether the body is `pass`, `...` or a docstring only."""

    def empty() -> None:
        pass

    def steps(f: Callable) -> list[str]:
        names = (step.opname for step in dis.get_instructions(f))
        return [name for name in names if name != "NOP"]

    return inspect.isfunction(function) and steps(function) == steps(empty)
