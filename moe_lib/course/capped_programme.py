"""The capped programme of expert choice: any solver of it, round by round.

Maximise <S^T, A> + lambda H(A): rows of A sum to k, columns to at most b, 0 <= A <= 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moe_lib.course.table import Table
from moe_lib.routers import capped_choice as library

WEIGHT = 0.001  # the paper's lambda
ROUNDS = (1, 3, 10, 30, 100, 300)
#: Scores [E, T], slots k, cap b, lambda and rounds -> the plan A [E, T].
Solver = Callable[[Tensor, int, int, float, int], Tensor]


def fill(energy: Tensor, total: int) -> Tensor:
    """The shift u of each row ``[R, 1]`` with ``sum_j min(1, exp(energy_j + u))`` =
    total, for energies ``[R, N]``.

    Raises:
        ValueError: a row of N terms of at most 1 cannot sum to ``total``.
    """
    terms = energy.shape[-1]
    if not 1 <= total <= terms:
        raise ValueError(
            f"total={total}: give 1 to {terms}, since a row has {terms} terms of at"
            " most 1"
        )
    return library.shift_to_sum(energy, total, total)


def by_library(
    scores: Tensor, slots: int, cap: int, weight: float, rounds: int
) -> Tensor:
    """The router's own `capped_assignment`, as a `Solver`."""
    return library.capped_assignment(
        scores, slots, cap, entropy_weight=weight, max_iterations=rounds
    )


def example_scores(
    tokens: int = 128, num_experts: int = 8, *, sharpness: float = 1.0, seed: int = 2022
) -> Tensor:
    """S^T ``[E, T]`` float64: softmaxed logits that share a few causes, so that some
    tokens are in demand and some are not."""
    draw = torch.Generator().manual_seed(seed)
    causes = torch.randn(tokens, 3, generator=draw, dtype=torch.float64)
    tastes = torch.randn(3, num_experts, generator=draw, dtype=torch.float64)
    noise = torch.randn(tokens, num_experts, generator=draw, dtype=torch.float64)
    logits = sharpness * (causes @ tastes + noise) / 2
    return logits.softmax(dim=1).T.contiguous()


@dataclass(frozen=True)
class Constraints:
    """How far a plan is from the constraints, and how good it is.

    row: slots by which the worst expert is off. column: experts by which the worst
    token is above the cap, at least 0. value: <S^T, A> over the best that keeps all
    constraints. above: share of the tokens above the cap once each expert takes the k
    tokens of its largest A.
    """

    row: float
    column: float
    value: float
    above: float


def constraints(
    plan: Tensor, scores: Tensor, slots: int, cap: int, best: float
) -> Constraints:
    """Of one plan ``[E, T]``; ``best`` as `best_value` gives it."""
    experts = experts_per_token(plan, slots)
    return Constraints(
        (plan.sum(dim=1) - slots).abs().max().item(),
        (plan.sum(dim=0) - cap).clamp(min=0).max().item(),
        (scores * plan).sum().item() / best,
        (experts > cap).double().mean().item(),
    )


def experts_per_token(plan: Tensor, slots: int) -> Tensor:
    """Experts that serve each token, ``[T]`` int64, if each takes its ``slots`` best
    of the plan (or of the scores: no cap)."""
    chosen = plan.topk(slots, dim=1).indices
    return torch.bincount(chosen.flatten(), minlength=plan.shape[1])


def best_value(scores: Tensor, slots: int, cap: int) -> float:
    """The largest <S^T, A> under the constraints, by a general solver: lambda = 0.

    Raises:
        ValueError: the tokens have no room for the experts' slots.
    """
    from scipy.optimize import linprog  # slow to import, seldom needed
    from scipy.sparse import identity, kron

    experts, tokens = scores.shape
    if slots > tokens or experts * slots > cap * tokens:
        raise ValueError(
            f"slots={slots}: give at most {min(tokens, cap * tokens // experts)},"
            f" which {tokens} tokens of at most {cap} experts have room for"
        )
    ones = torch.ones(1, max(experts, tokens)).numpy()
    found = linprog(
        -scores.flatten().numpy(),
        A_ub=kron(ones[:, :experts], identity(tokens)),
        b_ub=[cap] * tokens,
        A_eq=kron(identity(experts), ones[:, :tokens]),
        b_eq=[slots] * experts,
        bounds=(0, 1),
        method="highs",
    )
    return -found.fun


def by_rounds(
    solver: Solver,
    scores: Tensor,
    slots: int,
    cap: int,
    *,
    weight: float = WEIGHT,
    rounds: Sequence[int] = ROUNDS,
) -> dict[int, Constraints]:
    """What a solver has reached after each number of rounds, from the start."""
    best = best_value(scores, slots, cap)
    return {
        n: constraints(solver(scores, slots, cap, weight, n), scores, slots, cap, best)
        for n in rounds
    }


def rounds_table(
    solvers: Mapping[str, Solver], scores: Tensor, slots: int, cap: int, **how: object
) -> Table:
    """`by_rounds` of each named solver; ``how`` as there."""
    rows = [
        (name, n, f"{c.row:.1e}", f"{c.column:.1e}", f"{c.value:.4f}",
         f"{100 * c.above:.1f}")
        for name, solver in solvers.items()
        for n, c in by_rounds(solver, scores, slots, cap, **how).items()
    ]  # fmt: skip
    head = ("solver", "rounds", "worst row off (slots)", "worst column above (experts)",
            "value / best", "tokens above the cap, rounded (%)")  # fmt: skip
    return Table(head, rows, f"Capped at {cap}: {', '.join(solvers)}, by rounds")
