"""Table 6 of Shazeer et al. (2017) beside ours."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from moe_lib.course.columns import Columns
from moe_lib.course.measurements_02 import COLUMNS, weight_name
from moe_lib.course.table import Table

#: (w_importance, w_load) -> test perplexity (of a word), CV of importance, CV of load,
#: maximum over mean load; 256 experts, 4 at work.
PAPER = {
    (0, 0): (39.8, 3.04, 3.01, 17.80),
    (0.2, 0): (35.6, 0.06, 0.17, 1.47),
    (0, 0.2): (35.7, 0.22, 0.04, 1.15),
    (0.1, 0.1): (35.6, 0.06, 0.05, 1.14),
    (0.01, 0.01): (35.7, 0.48, 0.11, 1.37),
    (1, 1): (35.7, 0.03, 0.02, 1.07),
}
REFERENCE = weight_name((0.1, 0.1))  # the row that perplexities are compared with
HEADS = ("perplexity", "CV(importance)", "CV(load)", "max / mean load")


@dataclass(frozen=True, eq=False)
class Row:
    """A row: its name, the paper's four values or None, ours, each ``[S]``."""

    name: str
    paper: tuple[float, ...] | None
    ours: tuple[Tensor, ...]


def rows_of(columns: Columns) -> list[Row]:
    """The rows that were measured, in the paper's order, then those of our own.

    Args:
        columns: "0.2, 0: perplexity" and so on, as `balance_columns` and the stored
            measurement name them.

    Raises:
        ValueError: a column of a row is missing, or nothing was measured.
    """
    columns = dict(columns)
    paper = {weight_name(weights): values for weights, values in PAPER.items()}
    measured = dict.fromkeys(name.partition(": ")[0] for name in columns)
    names = [name for name in (*paper, *measured) if name in measured]
    missing = [
        f"{n}: {c}" for n in names for c in COLUMNS if f"{n}: {c}" not in columns
    ]
    if missing or not names:
        raise ValueError(
            f"no column {missing[0] if missing else 'at all'!r}: give what"
            " balance_columns returns"
        )
    return [
        Row(name, paper.get(name), tuple(columns[f"{name}: {c}"] for c in COLUMNS))
        for name in dict.fromkeys(names)
    ]


def table_6(columns: Columns) -> Table:
    """Our values, mean ± standard deviation over seeds; behind the bar the paper's.

    Perplexities are of a byte here and of a word there.
    """
    rows = []
    for row in rows_of(columns):
        paper = ["-"] * len(HEADS) if row.paper is None else map(_short, row.paper)
        ours = map(_spread, row.ours)
        cells = [f"{a} | {b}" for a, b in zip(ours, paper, strict=True)]
        rows.append([row.name, *cells])
    head = ["w importance, w load", *(f"{name}, here | paper" for name in HEADS)]
    return Table(head, rows, f"table 6, {len(rows)} rows side by side")


def _spread(values: Tensor) -> str:
    mean = values.mean().item()
    if len(values) == 1:
        return _short(mean)
    return f"{_short(mean)} ± {values.std().item():.{_digits(mean)}f}"


def _short(value: float) -> str:
    return f"{value:.{_digits(value)}f}"


def _digits(value: float) -> int:
    return 1 if value >= 10 else 2
