"""Values as small tables of text, for a verdict to lay out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

#: What is more is left out, and the caption says so.
MAX_ROWS, MAX_COLUMNS, MAX_DEPTH, MAX_NUMBERS = 6, 8, 4, 24
MAX_TEXT = 300


@dataclass(frozen=True)
class Grid:
    """A value under its name: ``rows`` of cells, which of them are wrong.

    caption: the shape, and which part is shown of a large tensor.
    """

    name: str
    caption: str
    rows: list[list[str]]
    wrong: list[list[bool]]


def input_grids(names: Sequence[str], case: tuple, first: int = 0) -> tuple[Grid, ...]:
    """One grid an argument; large ones from row ``first`` on."""
    pairs = zip(names, case, strict=False)
    return tuple(_grid(name, value, first=first) for name, value in pairs)


def answer_grids(
    names: tuple[str, str], got: Any, expected: Any, wrong: Tensor | None
) -> tuple[Grid, Grid]:
    """Two values, the first one marked where it is wrong; with enough digits to see
    how they differ. Of large ones the part around the first wrong value."""
    for digits in (4, 8, 16):
        mine, right = (
            _grid(name, value, wrong, digits=digits)
            for name, value in zip(names, (got, expected), strict=True)
        )
        if wrong is None or not _look_alike(mine, right):
            break
    return mine, replace(right, wrong=[[False] * len(row) for row in right.rows])


def first_wrong_row(wrong: Tensor | None) -> int:
    """Index into the first dimension of the first wrong value; 0 if there is none."""
    return 0 if wrong is None or not wrong.ndim else int(wrong.nonzero()[0, 0])


def _look_alike(mine: Grid, right: Grid) -> bool:
    """Whether a cell marked as wrong reads like the right one."""
    return any(
        mark and a == b
        for rows in zip(mine.rows, right.rows, mine.wrong, strict=True)
        for a, b, mark in zip(*rows, strict=True)
    )


def _grid(
    name: str,
    value: Any,
    wrong: Tensor | None = None,
    *,
    first: int = 0,
    digits: int = 4,
) -> Grid:
    """The part around the first wrong value; else rows from ``first`` on, if the
    value has as many."""
    if not isinstance(value, Tensor):
        text = _numbers([value], digits)[0] if _is_number(value) else _clipped(value)
        kind = "" if value is None else type(value).__name__
        return Grid(name, kind, [[text]], [[wrong is not None]])
    caption = [str(list(value.shape))]
    if not value.numel():
        return Grid(name, caption[0], [["empty"]], [[False]])
    cells = _three_dimensional(value.detach())
    marks = torch.zeros_like(cells, dtype=torch.bool)
    start = [first if value.shape[:1] == (len(cells),) else 0, 0, 0]
    if wrong is not None:
        marks = _three_dimensional(wrong)
        start = marks.nonzero()[0].tolist()
    columns = _part(cells.shape[1], MAX_COLUMNS, start[1])
    depth = _part(cells.shape[2], MAX_DEPTH, start[2])
    room = MAX_NUMBERS // (len(columns) * len(depth))
    rows = _part(len(cells), max(1, min(MAX_ROWS, room)), start[0])
    for what, part, whole in zip(
        ("row", "column", "number"), (rows, columns, depth), cells.shape, strict=True
    ):
        if len(part) < whole:
            some = f"s {part[0]} to {part[-1]}" if len(part) > 1 else f" {part[0]}"
            caption.append(f"{what}{some}")
    cells, marks = (x[rows][:, columns][..., depth] for x in (cells, marks))
    texts = _texts(cells, digits)
    return Grid(name, ", ".join(caption), texts, marks.any(dim=2).tolist())


def _part(count: int, room: int, first: int) -> range:
    """As many indices below ``count`` as there is room for, ``first`` among them."""
    start = max(0, min(first, count - room))
    return range(start, min(start + room, count))


def _three_dimensional(x: Tensor) -> Tensor:
    """``[rows, columns, values in a cell]``: a short vector is one row, a long one is
    a column."""
    if x.ndim < 2:
        return x.reshape(-1, 1, 1) if x.numel() > MAX_COLUMNS else x.reshape(1, -1, 1)
    return x.unsqueeze(-1) if x.ndim == 2 else x.flatten(0, -3)


def _texts(cells: Tensor, digits: int) -> list[list[str]]:
    texts = iter(_numbers(cells.flatten().tolist(), digits))
    rows = [[" ".join(next(texts) for _ in cell) for cell in row] for row in cells]
    return rows if cells.shape[2] == 1 else [[f"({t})" for t in row] for row in rows]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _numbers(values: list, digits: int) -> list[str]:
    """Numbers with as many decimals as the longest of them needs, up to ``digits``."""
    finite = [v for v in values if isinstance(v, float) and math.isfinite(v)]
    size = max(map(abs, finite), default=0.0)
    if not (size == 0 or 1e-3 <= size < 1e6):
        return [f"{v:.{digits}g}" if isinstance(v, float) else str(v) for v in values]
    places = next(
        d for d in range(1, digits + 1)
        if d == digits or all(round(v, d) == round(v, digits) for v in finite)
    )  # fmt: skip
    return [
        f"{round(v, places) + 0.0:.{places}f}" if isinstance(v, float) else str(v)
        for v in values
    ]  # + 0.0 because -0.0 means nothing here


def _clipped(value: Any) -> str:
    try:
        text = " ".join(repr(value).split())
    except Exception as error:  # the reader's own class may have any __repr__
        text = f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + " ..."
