"""Zhou et al. (2022): experts choose tokens."""

import math

from scipy import optimize

from oracles.arithmetic import Matrix, best_first
from oracles.tables import Mask, Row, is_real, padding


def expert_choice(
    probs: Matrix,
    capacity: int,
    tokens: range,
    mask: Mask = None,
    plan: Matrix | None = None,
) -> list[Row]:
    """Equation 2 for one group: G, I = TopK(S^T, k); with a plan I is TopK(A, k).

    ``probs`` is S, [T, E], the numbers to sort by; ``plan`` is A, [E, T].

    An expert that finds too few real tokens leaves slots empty: rows that are not
    kept, at the end, of any padding token (numbered here as they stand).
    """
    rows = []
    real = [t for t in tokens if is_real(mask, t)]
    pads = [t for t in tokens if not is_real(mask, t)]
    for e in range(len(probs[0])):
        column = [probs[t][e] for t in real]
        wanted = column if plan is None else [plan[e][t] for t in real]
        for rank, i in enumerate(best_first(wanted, min(capacity, len(real)))):
            rows.append(Row(real[i], e, column[i], True, rank))
        for t in pads[: capacity - min(capacity, len(real))]:
            rows.append(padding(Row(t, e, 0.0, False, None)))
    return rows


def entropy_objective(scores: Matrix, plan: Matrix, strength: float) -> float:
    """``<S, A> + strength * H(A)`` with ``H(A) = -sum A log A``, both [E, T]."""
    total = 0.0
    for s_row, a_row in zip(scores, plan, strict=True):
        for s, a in zip(s_row, a_row, strict=True):
            total += s * a - (strength * a * math.log(a) if a > 0 else 0.0)
    return total


def best_plan(scores: Matrix, slots: int, cap: int, strength: float) -> Matrix | None:
    """The capped programme of section 3 by a general solver: scores and plan [E, T].

    Maximise ``<S, A> + strength * H(A)`` where each expert's row sums to ``slots``, no
    token's column exceeds ``cap``, and 0 <= A <= 1. None where the solver gives up.
    """
    experts, tokens = len(scores), len(scores[0])

    def unflatten(flat) -> Matrix:
        return [list(flat[i * tokens : (i + 1) * tokens]) for i in range(experts)]

    def slope(flat) -> list[float]:
        values = [s for row in scores for s in row]
        return [
            strength * (math.log(a) + 1) - s for s, a in zip(values, flat, strict=True)
        ]

    full = [
        {"type": "eq", "fun": lambda flat, i=i: sum(unflatten(flat)[i]) - slots}
        for i in range(experts)
    ]
    room = [
        {"type": "ineq", "fun": lambda flat, j=j: cap - sum(flat[j::tokens])}
        for j in range(tokens)
    ]
    found = optimize.minimize(
        lambda flat: -entropy_objective(scores, unflatten(flat), strength),
        [slots / tokens] * (experts * tokens),
        jac=slope,
        bounds=[(1e-12, 1)] * (experts * tokens),
        constraints=full + room,
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    return unflatten(found.x) if found.success else None
