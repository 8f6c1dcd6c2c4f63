"""What a claim rests on: the values measured, and the verdict that they give.

A verdict is always computed from the values, so nobody can type one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from moe_lib.course.sample import Sample, Values, values_of

EXACT, HOLDS, NOISE = "exact", "holds", "within noise"
FAILS, CITED = "does not hold here", "cited only"
BITS = "bits/byte"  # the unit of most claims
VERDICTS = (EXACT, HOLDS, NOISE, FAILS, CITED)


class Evidence:
    """One kind each below. ``here`` and ``detail`` are what the table shows."""

    fragile: ClassVar[bool] = False
    verdict: str
    here: str
    detail: str

    def as_json(self) -> dict[str, Any]:
        return {"kind": type(self).__name__, **asdict(self)}


@dataclass(frozen=True)
class TwoSamples(Evidence):
    """Two columns over seeds. The runs count as independent, even if they share
    their data seed by seed: that can only make the verdict more careful."""

    lower: Values
    higher: Values
    unit: str = ""
    digits: int = 0

    def __post_init__(self) -> None:
        for name in ("lower", "higher"):
            object.__setattr__(self, name, values_of(getattr(self, name)))

    @property
    def sides(self) -> tuple[Sample, Sample]:
        return Sample("lower", self.lower), Sample("higher", self.higher)

    @property
    def gap(self) -> float:
        """Mean of ``higher`` less mean of ``lower``."""
        low, high = self.sides
        return high.mean - low.mean

    @property
    def two_se(self) -> float:
        """Two standard errors of the gap."""
        return math.hypot(*(side.two_se for side in self.sides))

    @property
    def verdict(self) -> str:
        return self.judge(self.two_se)

    @property
    def fragile(self) -> bool:
        """Whether a tenth more or less noise would turn the verdict: then another
        machine's rounding may, so a chapter should take more seeds."""
        return self.judge(0.9 * self.two_se) != self.judge(1.1 * self.two_se)

    @property
    def here(self) -> str:
        low, high = (self._number(s.mean, s.two_se) for s in self.sides)
        return f"{low} and {high} {self.unit}".strip()

    @property
    def detail(self) -> str:
        low, high = self.sides
        sd = " and ".join(f"{side.sd:.{self.digits}f}" for side in self.sides)
        n = low.count if low.count == high.count else f"{low.count} and {high.count}"
        return f"gap {self._number(self.gap, self.two_se)}; SD {sd}; n = {n}"

    def _number(self, value: float, two_se: float) -> str:
        text = f"{value:.{self.digits}f} ± {two_se:.{self.digits}f}"
        return text.replace("-", "\u2212")  # a true minus


@dataclass(frozen=True)
class Below(TwoSamples):
    """``lower`` is said to lie below ``higher``: holds if the gap of the means is
    over two standard errors, does not hold if it is so in the other direction."""

    def judge(self, two_se: float) -> str:
        gap = self.gap
        return HOLDS if gap > two_se else FAILS if gap < -two_se else NOISE


@dataclass(frozen=True)
class Near(TwoSamples):
    """The two are said to agree: holds if the gap is within ``margin`` and two
    standard errors more would be too; does not hold if it is beyond by as much."""

    margin: float = 0.0

    def judge(self, two_se: float) -> str:
        left = self.margin - abs(self.gap)
        return HOLDS if left >= two_se else FAILS if left < -two_se else NOISE


@dataclass(frozen=True)
class Share(Evidence):
    """A statement about every run: holds if true of a share of ``at_least``."""

    hits: tuple[bool, ...]
    at_least: float = 0.95

    def __post_init__(self) -> None:
        object.__setattr__(self, "hits", tuple(v == 1 for v in values_of(self.hits)))

    @property
    def verdict(self) -> str:
        if not self.hits:
            raise ValueError("hits is empty: give one truth value per run")
        return HOLDS if sum(self.hits) / len(self.hits) >= self.at_least else FAILS

    @property
    def here(self) -> str:
        return f"{sum(self.hits):,} of {len(self.hits):,} runs"

    @property
    def detail(self) -> str:
        return f"holds from {100 * self.at_least:g} % on"


@dataclass(frozen=True)
class Exact(Evidence):
    """An identity, asserted in ``cases`` cases.

    worst: the largest deviation, or, with a tolerance of 0, the number of exceptions.
    """

    worst: float | None
    cases: int
    unit: str = "cases"
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "worst", values_of([self.worst])[0])

    @property
    def verdict(self) -> str:
        is_true = self.worst is not None and self.worst <= self.tolerance
        return EXACT if is_true else FAILS

    @property
    def here(self) -> str:
        where = f"in {self.cases:,} {self.unit}"
        if self.worst is None:
            return f"no number {where}"
        if self.worst == 0:
            return f"no exception {where}"
        if self.tolerance == 0:
            return f"{self.worst:g} exceptions {where}"
        return f"off by {self.worst:.0e} at most {where}"

    @property
    def detail(self) -> str:
        return f"{self.tolerance:.0e} is allowed" if self.tolerance else ""


@dataclass(frozen=True)
class Cited(Evidence):
    """Out of reach at this scale, for the reason given."""

    reason: str
    detail: ClassVar[str] = ""
    verdict: ClassVar[str] = CITED

    @property
    def here(self) -> str:
        return self.reason


_KINDS = {kind.__name__: kind for kind in (Below, Near, Share, Exact, Cited)}


def evidence_from(data: Mapping[str, Any]) -> Evidence:
    """Read back what `as_json` gave.

    Raises:
        ValueError: no such kind of evidence, or fields that do not fit it.
    """
    try:
        fields = dict(data)
        return _KINDS[fields.pop("kind")](**fields)
    except (KeyError, TypeError, ValueError) as problem:
        raise ValueError(f"its evidence cannot be read ({problem!r:.80})") from None
