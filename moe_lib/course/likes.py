"""What does each expert like? Table 9 of Shazeer et al. (2017), for bytes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from moe_lib.course.byte_names import readable
from moe_lib.course.placed import Placed
from moe_lib.course.table import Table
from moe_lib.models.byte_tables import NO_BYTE
from moe_lib.notation import letter

ENOUGH = 20  # times that a byte or an ending must occur to be named
TINY = 1e-300
WIDE = "\u2003"  # a space that HTML keeps wide
ALIKE = 3  # contexts that end in the same so many bytes are shown once


def likes_table(
    placed: Placed, *, most: int = 16, named: int = 3, contexts: int = 2
) -> Table:
    """A row for each expert: its work, its bytes and endings, where it is surest.

    "× 7": among the bytes of this expert, weighted by the gate, it is 7 times as
    frequent as among all. Contexts have the largest gate weights.

    Args:
        most: experts to show, those with the most weight, in the order of letters.
        named: bytes and endings of each. contexts: of each.
    """
    weights = placed.weights.double()
    share = weights.sum(dim=0) / weights.sum()  # gates of a Switch are below 1
    lifts = [Lifts.of(weights, placed.context[:, -n:]) for n in (1, ALIKE)]
    rows = []
    for e in share.topk(min(most, len(share))).indices.sort().values.tolist():
        named_here = (
            WIDE.join(
                isolated(f"{readable(key)}\u00a0×\u00a0{lift:.1f}")
                for key, lift in table.best(e, named)
            )
            for table in lifts
        )
        contexts_here = WIDE.join(
            map(isolated, strongest(placed.context, weights[:, e], contexts))
        )
        rows.append((letter(e), f"{share[e]:.0%}", *named_here, contexts_here,
                     _domain(placed, weights[:, e])))  # fmt: skip
    head = ("expert", "share", "bytes", f"last {ALIKE} bytes", "where it is surest",
            "mostly in")  # fmt: skip
    return Table(head, rows, f"what {len(rows)} of {len(share)} experts like")


@dataclass(frozen=True, eq=False)
class Lifts:
    """What is more frequent in an expert's bytes than in all.

    kinds: ``[K, n]`` int64, the bytes or endings that occur often enough. within:
        ``[K, E]``, their shares of each expert's weight. overall: ``[K]``, of all.
    """

    kinds: Tensor
    within: Tensor
    overall: Tensor

    @classmethod
    def of(cls, weights: Tensor, keys: Tensor, enough: int = ENOUGH) -> Lifts:
        """``weights`` ``[N, E]`` float64; keys that occur less often are left out."""
        place = (NO_BYTE + 1) ** torch.arange(keys.shape[1])
        codes, which, counts = (keys @ place).unique(
            return_inverse=True, return_counts=True
        )
        sums = weights.new_zeros(len(codes), weights.shape[1])
        within = sums.index_add(0, which, weights) / weights.sum(dim=0).clamp(min=TINY)
        kept = counts >= enough
        return cls(
            codes[kept, None] // place % (NO_BYTE + 1),
            within[kept],
            counts[kept].double() / len(keys),
        )

    def best(self, expert: int, most: int) -> list[tuple[list[int], float]]:
        """(bytes, lift), what tells the expert from the rest most first; lifts above 1.

        Ranked by ``p log(p / q)``, p being the share within the expert and q the share
        of all: so neither the rare nor the merely frequent comes first.
        """
        p, q = self.within[:, expert], self.overall
        telling = torch.where(p > q, p * (p / q).log(), 0.0)
        order = telling.argsort(descending=True, stable=True)[:most]
        return [
            (self.kinds[i].tolist(), (p[i] / q[i]).item())
            for i in order.tolist()
            if telling[i] > 0
        ]


def strongest(context: Tensor, weight: Tensor, count: int) -> list[str]:
    """Contexts of the largest weights ``[N]`` as texts, the current byte in ‹ ›."""
    seen, texts = set(), []
    for i in weight.argsort(descending=True, stable=True).tolist():
        if len(texts) == count or not weight[i] > 0:
            break
        values = context[i].tolist()
        ending = tuple(values[-ALIKE:])
        if ending not in seen and NO_BYTE not in ending:
            seen.add(ending)
            while 0x80 <= values[0] < 0xC0:  # the rest of a character cut in two
                del values[0]
            texts.append(f"{readable(values[:-1])}‹{readable(values[-1:])}›")
    return texts


def isolated(text: str) -> str:
    """Arabic inside cannot turn round what stands before and after."""
    return f"\u2066{text}\u2069"


def _domain(placed: Placed, own: Tensor) -> str:
    """The domain with most of the expert's weight."""
    sums = own.new_zeros(len(placed.domains)).index_add(0, placed.domain, own)
    best = int(sums.argmax())
    return f"{placed.domains[best]}\u00a0{sums[best] / own.sum().clamp(min=TINY):.0%}"
