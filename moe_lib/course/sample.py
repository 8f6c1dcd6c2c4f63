"""One column of values over seeds: mean, spread, standard error.

Values are kept to six digits, as they are stored: what is judged is what can be read
again, and the last bits, which differ between machines, judge nothing.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

Values = tuple[float | None, ...]


def values_of(column: Iterable[float | None]) -> Values:
    """A column (list, tensor ``[S]``) to six digits; None for NaN and infinity."""
    raw = column.tolist() if hasattr(column, "tolist") else column
    return tuple(
        float(f"{value:.6g}") if value is not None and math.isfinite(value) else None
        for value in raw
    )


@dataclass(frozen=True)
class Sample:
    """Statistics of one side: ``n`` of ``total`` runs arrived; the others are out.

    Raises:
        ValueError: fewer than two values, which have no spread.
    """

    name: str
    values: Values

    def __post_init__(self) -> None:
        if self.n < 2:
            raise ValueError(
                f"{self.name} has {self.n} finite values of {len(self.values)}, and"
                " a spread needs two: run more seeds"
            )

    @property
    def arrived(self) -> list[float]:
        return [value for value in self.values if value is not None]

    @property
    def n(self) -> int:
        return len(self.arrived)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.arrived)

    @property
    def sd(self) -> float:
        """Standard deviation over the runs (n - 1)."""
        return statistics.stdev(self.arrived)

    @property
    def two_se(self) -> float:
        """Two standard errors of the mean."""
        return 2 * self.sd / math.sqrt(self.n)

    @property
    def count(self) -> str:
        total = len(self.values)
        return str(self.n) if self.n == total else f"{self.n} of {total}"
