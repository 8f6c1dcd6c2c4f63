"""Claims: one checkable sentence of a paper each, beside what was measured here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from moe_lib.course.evidence import Evidence, evidence_from
from moe_lib.course.stored_results import StoredResult, digest

FIELDS = {"id", "text", "source", "paper", "evidence", "origin", "digest"}


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper, and the evidence that judges it.

    Args:
        id: such as "M1.4-faster"; no other claim of the course has it.
        text: the sentence. source: paper, table or figure. paper: its value there.
        evidence: `Below`, `Near`, `Share`, `Exact` or `Cited`, with the values.
        origin: where stored values come from; "" for those of the run in hand.

    Raises:
        ValueError: no verdict can be computed, such as from a single seed.
    """

    id: str
    text: str
    source: str
    paper: str
    evidence: Evidence
    origin: str = ""

    def __post_init__(self) -> None:
        try:
            _ = self.verdict
        except ValueError as problem:
            raise ValueError(f"claim {self.id}: {problem}") from None

    @property
    def verdict(self) -> str:
        """One of `evidence.VERDICTS`."""
        return self.evidence.verdict

    def as_json(self) -> dict[str, Any]:
        """Plain data with the values behind the verdict, and a digest over them."""
        data = {name: getattr(self, name) for name in ("id", "text", "source", "paper")}
        data |= {"origin": self.origin, "evidence": self.evidence.as_json()}
        return {**data, "digest": digest(data)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Claim:
        """Read back what `as_json` gave.

        Raises:
            ValueError: the data was edited by hand, or is no claim.
        """
        if not isinstance(data, Mapping) or set(data) != FIELDS:
            raise ValueError(f"not the data of a claim: {data!s:.60}")
        fields = {key: value for key, value in data.items() if key != "digest"}
        if digest(fields) != data["digest"]:
            raise ValueError(
                f"claim {data['id']} was edited by hand, its digest does not fit"
            )
        try:
            fields["evidence"] = evidence_from(fields["evidence"])
        except ValueError as problem:
            raise ValueError(f"claim {data['id']}: {problem}") from None
        return cls(**fields)


def with_origin(result: StoredResult, claims: Iterable[Claim]) -> list[Claim]:
    """The claims, which now say that their values come from the stored result."""
    return [replace(claim, origin=result.origin) for claim in claims]
