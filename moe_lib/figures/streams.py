"""Where the ribbons of a flow begin and end: its geometry, without a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moe_lib.figures.grammar import Marks
from moe_lib.figures.words import counted

BANDS, STREAMS = 8, 400  # of consecutive tokens, where there are too many; at most


@dataclass(frozen=True, eq=False)
class Streams:
    """What flows, arrays of equal length: one row, or a band's rows to one expert.

    band, expert, count: int64. amount: float64, weight. kept: bool. symbol: str.
    fate: int64.
    """

    band: np.ndarray
    expert: np.ndarray
    count: np.ndarray
    amount: np.ndarray
    kept: np.ndarray
    symbol: np.ndarray
    fate: np.ndarray


def bands_of(
    real: list[int], names: list[str], rows: int, experts: int, most: int
) -> tuple[list[list[int]], list[str], str]:
    """Tokens that share a ribbon, their labels, and the words for it."""
    if len(real) <= most and rows <= STREAMS:
        return [[t] for t in real], [names[t] for t in real], ""
    count = min(BANDS, max(STREAMS // experts, 1), len(real))
    bands = [band.tolist() for band in np.array_split(np.array(real), count)]
    labels = [f"{b[0] + 1:,}–{b[-1] + 1:,}" if b[1:] else f"{b[0] + 1}" for b in bands]
    said = f"{counted(len(real), 'token')} in {counted(count, 'band')} of neighbours"
    return bands, labels, said


def streams_of(rows: Marks, band_of: np.ndarray, together: bool) -> Streams:
    seen = np.flatnonzero(rows.real)
    band, kept = band_of[rows.token[seen]], rows.kept[seen]
    key = np.arange(len(seen))
    if together:
        key = (band * (rows.expert.max(initial=0) + 1) + rows.expert[seen]) * 2 + kept
    _, first, index = np.unique(key, return_index=True, return_inverse=True)
    weight = rows.weight[seen].clip(0)
    return Streams(
        band=band[first],
        expert=rows.expert[seen][first],
        count=np.bincount(index, minlength=len(first)),
        amount=np.bincount(index, weights=weight, minlength=len(first)),
        kept=kept[first],
        symbol=np.where(together, "circle", rows.symbol[seen][first]),
        fate=rows.fate[seen][first],
    )


def nodes_of(streams: Streams, experts: int, height: int) -> list[tuple[float, float]]:
    """Top and bottom of each expert: some of the height goes by load."""
    load = np.bincount(streams.expert, weights=streams.count, minlength=experts)
    even = 0.7 if experts <= 16 else 0.85
    if not load.any():
        even = 1.0
    span = height * (even / experts + (1 - even) * load / max(load.sum(), 1))
    top = np.cumsum(span) - span - 0.5
    gap = min(0.1 * height / experts, 0.4)
    return list(zip((top + gap).tolist(), (top + span - gap).tolist(), strict=True))


def mark_size(streams: Streams, nodes: list[tuple[float, float]], unit: float) -> float:
    """Pixels of a mark, 4 to 10, so that those of an expert do not overlap.

    ``unit``: pixels from band to band.
    """
    crowd = np.bincount(streams.expert, minlength=len(nodes)).tolist()
    heights = [b - a for a, b in nodes]
    room = [unit * h / n for h, n in zip(heights, crowd, strict=True) if n]
    return min(max(min(room, default=10), 4), 10)


def edges_of(
    streams: Streams, nodes: list[tuple[float, float]], most: float
) -> tuple[np.ndarray, np.ndarray]:
    """Where each ribbon begins at its token, and where it enters its expert.

    Two arrays ``[S, 2]`` of upper and lower edges; a row that was not kept begins
    with no width. ``most``: the height of a token's ribbons together.
    """
    size = np.where(streams.kept, streams.amount, 0.0)
    begin, total = _pile(streams.band, streams.expert, size)
    scale = most / max(total.max(initial=0), 1e-9)
    top = streams.band + scale * (begin - total / 2)
    ends = np.stack([top, top + scale * size], axis=1)
    size = np.maximum(size, size.max(initial=0) / 3 + 1e-9)  # no mark hides another
    begin, total = _pile(streams.expert, streams.band, size)
    low, high = np.array(nodes)[streams.expert].T
    scale = np.minimum((high - low) / total, scale)
    top = (low + high) / 2 + scale * (begin - total / 2)
    return ends, np.stack([top, top + scale * size], axis=1)


def _pile(
    group: np.ndarray, by: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where each item begins in its group's pile, sorted ``by``; the pile's height."""
    order = np.lexsort((by, group))
    above = np.cumsum(size[order]) - size[order]
    first = np.searchsorted(group[order], group[order])
    begin = np.empty(len(size))
    begin[order] = above - above[first]
    return begin, np.bincount(group, weights=size)[group]
