"""Claims: one checkable sentence of a paper each, with a computed verdict."""

from __future__ import annotations

import html
from dataclasses import dataclass

import torch
from torch import Tensor

from moe_lib.course.table import html_table

EXACT, HOLDS, NOISE = "exact", "holds", "within noise"
FAILS, CITED = "does not hold here", "cited only"


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper beside what was measured here.

    Make one with `Claim.exact`, `Claim.compare`, `Claim.share` or `Claim.cited`:
    each computes the verdict; none takes it as an argument.
    """

    id: str
    text: str
    source: str
    paper: str
    ours: str
    verdict: str

    @classmethod
    def exact(
        cls, id: str, text: str, source: str, paper: str, ours: str, is_true: bool
    ) -> Claim:
        """An identity: "exact" if it is true, else "does not hold here"."""
        return cls(id, text, source, paper, ours, EXACT if is_true else FAILS)

    @classmethod
    def compare(
        cls,
        id: str,
        text: str,
        source: str,
        paper: str,
        lower: Tensor,
        higher: Tensor,
        *,
        unit: str = "",
        digits: int = 0,
    ) -> Claim:
        """The paper says that ``lower`` lies below ``higher`` (samples over seeds).

        "holds" if the gap of the means is over two standard errors in that direction,
        "does not hold here" if it is so in the other one, else "within noise".

        Raises:
            ValueError: a side with fewer than two finite values has no spread.
        """
        sides = [x.double()[torch.isfinite(x)] for x in (lower, higher)]
        for name, side in zip(("lower", "higher"), sides, strict=True):
            if len(side) < 2:
                raise ValueError(
                    f"claim {id}: {name} has {len(side)} finite values: run more seeds"
                )
        gap = (sides[1].mean() - sides[0].mean()).item()
        error = sum(side.var() / len(side) for side in sides) ** 0.5
        verdict = HOLDS if gap > 2 * error else FAILS if gap < -2 * error else NOISE
        a, b = (f"{s.mean():.{digits}f} ± {s.std():.{digits}f}" for s in sides)
        return cls(id, text, source, paper, f"{a} against {b} {unit}".strip(), verdict)

    @classmethod
    def same(
        cls,
        id: str,
        text: str,
        source: str,
        paper: str,
        one: Tensor,
        other: Tensor,
        *,
        margin: float,
        unit: str = "",
        digits: int = 2,
    ) -> Claim:
        """The paper says that two means agree: "holds" if they do within ``margin``."""
        gap = (one.double().mean() - other.double().mean()).abs().item()
        verdict = HOLDS if gap <= margin else FAILS
        a, b = (f"{s.mean():.{digits}f} ± {s.std():.{digits}f}" for s in (one, other))
        return cls(id, text, source, paper, f"{a} and {b} {unit}".strip(), verdict)

    @classmethod
    def share(
        cls,
        id: str,
        text: str,
        source: str,
        paper: str,
        hits: Tensor,
        *,
        at_least: float = 0.95,
    ) -> Claim:
        """A statement about every run: "holds" if true of a share of ``at_least``."""
        share = hits.double().mean().item()
        verdict = HOLDS if share >= at_least else FAILS
        ours = f"{int(hits.sum())} of {hits.numel()} runs"
        return cls(id, text, source, paper, ours, verdict)

    @classmethod
    def cited(cls, id: str, text: str, source: str, paper: str, reason: str) -> Claim:
        """Out of reach at this scale, for the reason given."""
        return cls(id, text, source, paper, reason, CITED)


class ClaimsTable:
    """Claims as a table: HTML for the reader; the verdicts alone as plain text."""

    HEAD = ("claim", "the paper", "here (mean ± sd over seeds)", "verdict")

    def __init__(self, *claims: Claim) -> None:
        self.claims = claims

    def __repr__(self) -> str:
        width = max((len(claim.id) for claim in self.claims), default=0)
        return "\n".join(f"{c.id:<{width}}  {c.verdict}" for c in self.claims)

    def _repr_html_(self) -> str:
        rows = [
            (
                f"{html.escape(c.text)}<br>"
                f"<small>{html.escape(c.id)} · {html.escape(c.source)}</small>",
                html.escape(c.paper),
                html.escape(c.ours),
                f"<b style='white-space:nowrap'>{c.verdict}</b>",
            )
            for c in self.claims
        ]
        return html_table(self.HEAD, rows)
