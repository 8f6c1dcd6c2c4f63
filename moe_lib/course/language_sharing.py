"""Which languages share experts: counts, information, distances between languages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from moe_lib.course.columns import Columns
from moe_lib.data.lookup import Lookup
from moe_lib.models.lookup_net import LookupNet
from moe_lib.running import evaluating

BIT = math.log(2)  # in nats
SCRIPTS = {"ru": "Cyrillic", "ja": "Japanese", "hi": "Devanagari", "el": "Greek"}


@dataclass(frozen=True, eq=False)
class Sharing:
    """``counts`` ``[L, E]`` int64: names of each language that prefer each expert."""

    languages: tuple[str, ...]
    counts: Tensor

    def __post_init__(self) -> None:
        fits = self.counts.ndim == 2 and len(self.counts) == len(self.languages)
        if not fits or self.counts.sum(dim=1).min() < 1:
            raise ValueError(
                f"counts {list(self.counts.shape)} of {len(self.languages)} languages:"
                " give [L, E], at least one name of each language"
            )

    @property
    def shares(self) -> Tensor:
        """``[L, E]`` float64: where each language's names go, rows sum to 1."""
        counts = self.counts.double()
        return counts / counts.sum(dim=1, keepdim=True)

    @property
    def bits(self) -> float:
        """I(first expert; language) in bits."""
        table = self.counts.double() / self.counts.sum()
        parts = (table.sum(dim=0), table.sum(dim=1))
        return sum(map(_entropy, parts)).item() - _entropy(table.flatten()).item()

    @property
    def chance(self) -> float:
        """What counting so few names gives for nothing, on average, in bits."""
        languages, experts = self.counts.shape
        cells = (languages - 1) * (experts - 1)
        return cells / (2 * self.counts.sum().item() * BIT)

    @property
    def distances(self) -> Tensor:
        """``[L, L]`` float64: Jensen-Shannon divergence between rows, 0 to 1 bit."""
        p = self.shares
        middle = (p.unsqueeze(1) + p.unsqueeze(0)) / 2
        own = _entropy(p)
        halves = (own.unsqueeze(1) + own.unsqueeze(0)) / 2
        return (_entropy(middle) - halves).clamp(min=0)

    @property
    def nearest(self) -> dict[str, str]:
        """Language -> the one that shares most of its experts."""
        apart = self.distances.fill_diagonal_(math.inf).argmin(dim=1).tolist()
        return {
            a: self.languages[b] for a, b in zip(self.languages, apart, strict=True)
        }

    def mean_distance(self, *, same_script: bool) -> float:
        """Of pairs in Latin script; or of pairs of a Latin and another script."""
        apart, latin = self.distances, [c not in SCRIPTS for c in self.languages]
        wanted = 2 if same_script else 1
        pairs = [
            apart[a, b].item()
            for a, b in combinations(range(len(latin)), 2)
            if latin[a] + latin[b] == wanted
        ]
        return sum(pairs) / len(pairs) if pairs else math.nan


def sharing(model: LookupNet, data: Lookup) -> Sharing:
    """Of the seen names, each of them one token, by their expert of largest weight.

    Raises:
        ValueError: a dense model.
    """
    with evaluating(model):
        _, routings = model(data.seen.features, data.seen.language)
    if not routings:
        raise ValueError("the model has no router: give a mixture's")
    languages, experts = len(data.languages), routings[0].num_experts
    first = routings[0].dense().argmax(dim=1)
    cell = data.seen.language * experts + first
    counts = cell.bincount(minlength=languages * experts).view(languages, experts)
    return Sharing(data.languages, counts)


def sharing_columns(name: str, group: Sequence[Sharing]) -> dict[str, Tensor]:
    """ "trained: fr to 0" -> ``[S]``: the counts of some runs, for a measurement."""
    counts = torch.stack([one.counts for one in group])  # [S, L, E]
    return {
        f"{name}: {language} to {e}": counts[:, i, e]
        for i, language in enumerate(group[0].languages)
        for e in range(counts.shape[2])
    }


def sharings_from(columns: Columns, name: str) -> list[Sharing]:
    """What `sharing_columns` wrote, run by run.

    Raises:
        ValueError: no column of this name.
    """
    columns = dict(columns)
    cells = {c: v for c, v in columns.items() if c.startswith(f"{name}: ")}
    if not cells:
        raise ValueError(f"no column {f'{name}: ...'!r}: give sharing_columns' own")
    names = (cell.removeprefix(f"{name}: ").split(" to ")[0] for cell in cells)
    languages = tuple(dict.fromkeys(names))
    counts = torch.stack(list(cells.values()), dim=1).long()  # [S, L * E]
    return [Sharing(languages, row.view(len(languages), -1)) for row in counts]


def _entropy(p: Tensor) -> Tensor:
    """Of the last dimension, in bits."""
    return torch.special.entr(p).sum(dim=-1) / BIT
