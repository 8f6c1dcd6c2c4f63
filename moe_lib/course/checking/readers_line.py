"""Where in the reader's own code an error came up."""

from __future__ import annotations

import inspect
import linecache
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Line:
    """A line of code: its number, the file's name ("" for a cell) and its text.

    marked: ``[start, end)``, the characters of ``text`` that were being computed.
    """

    number: int
    file: str
    text: str
    marked: tuple[int, int] = (0, 0)

    @property
    def place(self) -> str:
        """Such as "line 3 of the cell"."""
        return f"line {self.number} of {self.file or 'the cell'}"


def readers_line(error: BaseException, function: Callable) -> Line | None:
    """The last line of the traceback that is the reader's, not a library's.

    The reader's is what shares the global names of ``function``: all cells of a
    notebook do. None where the error came up before the first such line.
    """
    own = getattr(inspect.unwrap(function), "__globals__", None)
    frames = [
        (frame, summary)
        for (frame, _), summary in zip(
            traceback.walk_tb(error.__traceback__),
            traceback.extract_tb(error.__traceback__),
            strict=True,
        )
        if frame.f_globals is own
    ]
    if not frames:
        return None
    return _line(frames[-1][1])


def _line(frame: traceback.FrameSummary) -> Line:
    whole = linecache.getline(frame.filename, frame.lineno).rstrip()
    text = whole.lstrip()
    indent = len(whole) - len(text)
    start, end = 0, 0
    if text and frame.colno is not None and frame.end_colno is not None:
        start = _characters(whole, frame.colno) - indent
        one_line = frame.end_lineno == frame.lineno
        end = _characters(whole, frame.end_colno) - indent if one_line else len(text)
    path = Path(frame.filename)
    return Line(frame.lineno, path.name if path.is_file() else "", text, (start, end))


def _characters(text: str, count: int) -> int:
    """How many characters the first ``count`` bytes of ``text`` are."""
    return len(text.encode()[:count].decode(errors="ignore"))
