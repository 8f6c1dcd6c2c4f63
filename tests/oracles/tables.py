"""Rows of a routing, groups of tokens, and the comparison with the library."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from oracles.arithmetic import Matrix, softmax


@dataclass(frozen=True)
class Row:
    """One assignment. Padding has ``slot`` None: it stands in no queue."""

    token: int
    expert: int
    weight: float
    kept: bool
    slot: int | None


Mask = list[bool] | None


def is_real(mask: Mask, token: int) -> bool:
    return mask is None or mask[token]


def in_groups(
    route_group: Callable[[range], list[Row]], num_tokens: int, group_size: int | None
) -> list[Row]:
    """Route each group by itself; ``route_group`` gets the group's token numbers."""
    size = num_tokens if group_size is None else group_size
    rows: list[Row] = []
    for start in range(0, num_tokens, size or 1):
        rows += route_group(range(start, start + size))
    return rows


def by_priority(tokens: range, probs: Matrix | None) -> list[int]:
    """The order in which tokens are served: as they stand, or the surest first.

    ``probs`` are the numbers to sort by: two tokens may differ by less than float32
    shows, so a test passes the library's own (and checks those separately).
    """
    if probs is None:
        return list(tokens)
    waiting, order = list(tokens), []
    while waiting:
        first = max(waiting, key=lambda t: (max(probs[t]), -t))
        waiting.remove(first)
        order.append(first)
    return order


def padding(row: Row) -> Row:
    return replace(row, weight=0.0, kept=False, slot=None)


def assert_same_table(routing, rows: list[Row], tolerance: float = 2e-6) -> None:
    """The library's table has these rows, in this order."""
    columns = (
        routing.token_index,
        routing.expert_index,
        routing.combine_weights,
        routing.kept,
        routing.position_in_expert,
    )
    assert [len(column) for column in columns] == [len(rows)] * 5
    got = zip(*(column.tolist() for column in columns), strict=True)
    for i, (row, (token, expert, weight, kept, slot)) in enumerate(
        zip(rows, got, strict=True)
    ):
        said = Row(token, expert, weight, kept, None if row.slot is None else slot)
        same = replace(said, weight=row.weight) == row
        close = math.isclose(weight, row.weight, rel_tol=1e-5, abs_tol=tolerance)
        assert same and close, f"row {i}: the loop says {row}, the library {said}"


def assert_clean_probs(routing, logits: Matrix) -> None:
    """Beside the table stand these logits and their full softmax."""
    assert routing.router_logits.tolist() == logits
    for got, row in zip(routing.router_probs.tolist(), logits, strict=True):
        for p, q in zip(got, softmax(row), strict=True):
            assert math.isclose(p, q, rel_tol=1e-5, abs_tol=1e-7)
