"""Two levels of noisy top-k: Shazeer et al. (2017), appendix B."""

from oracles.arithmetic import Matrix, softmax
from oracles.tables import Mask, Row, is_real, padding
from oracles.token_choice import expected_load, keep_top_k


def split_levels(logits: Matrix, a: int, b: int) -> tuple[Matrix, list[Matrix]]:
    """The primary gate's ``[T, a]`` and, for each group, its gate's ``[T, b]``."""
    groups = [[row[a + i * b : a + (i + 1) * b] for row in logits] for i in range(a)]
    return [row[:a] for row in logits], groups


def full_softmax(logits: Matrix, a: int, b: int) -> Matrix:
    """``softmax(primary)_i softmax(group i)_j`` for each token, ``[T, a b]``."""
    primary, groups = split_levels(logits, a, b)
    return [
        [p * q for i, p in enumerate(softmax(row)) for q in softmax(groups[i][t])]
        for t, row in enumerate(primary)
    ]


def two_levels(logits: Matrix, a: int, b: int, k: int, mask: Mask = None) -> list[Row]:
    """Equation 12: expert (i, j) is number ``i b + j``, weight G_primary,i G_i,j."""
    primary, groups = split_levels(logits, a, b)
    inside = [keep_top_k(group, k, mask) for group in groups]
    outer = keep_top_k(primary, k, mask)
    rows = []
    for row in outer:
        for inner in inside[row.expert]:
            if inner.token == row.token:
                number = row.expert * b + inner.expert
                weight = row.weight * inner.weight
                rows.append(Row(row.token, number, weight, row.kept, None))
    return in_queues(rows, k * k, a * b, mask)


def in_queues(rows: list[Row], choices: int, num_experts: int, mask: Mask) -> list[Row]:
    """Slots for token-major rows: all first choices, then all second ones, ..."""
    waiting = [0] * num_experts
    placed = list(rows)
    for choice in range(choices):
        for i in range(choice, len(rows), choices):
            row = rows[i]
            if not is_real(mask, row.token):
                placed[i] = padding(row)
                continue
            placed[i] = Row(
                row.token, row.expert, row.weight, True, waiting[row.expert]
            )
            waiting[row.expert] += 1
    return placed


def load_h(
    clean: Matrix, noisy: Matrix, sigmas: Matrix, a: int, b: int, k: int,
    mask: Mask = None,
) -> list[float]:  # fmt: skip
    """Equation 14: ``Load_primary(X)_i Load_i(X_i)_j / |X_i|``, for each expert."""
    levels = [split_levels(m, a, b) for m in (clean, noisy, sigmas)]
    outer = expected_load(*(primary for primary, _ in levels), k, mask)
    sent = keep_top_k(levels[1][0], k)
    load = []
    for i in range(a):
        here = [
            any(r.token == t and r.expert == i for r in sent) and is_real(mask, t)
            for t in range(len(clean))
        ]
        inner = expected_load(*(groups[i] for _, groups in levels), k, here)
        load += [outer[i] * load_j / max(1, sum(here)) for load_j in inner]
    return load
