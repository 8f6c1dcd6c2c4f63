"""Capped expert choice against the programme itself and a general solver."""

from dataclasses import dataclass

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from moe_lib.routers import ExpertChoiceRouter
from moe_lib.routers.capped_choice import capped_assignment
from oracles.arithmetic import Matrix
from oracles.draws import matrices
from oracles.expert_choice import best_plan, entropy_objective, expert_choice
from oracles.tables import assert_same_table


@dataclass(frozen=True)
class Programme:
    """Logits [T, E], slots C and cap b that leave room: C E <= b T."""

    logits: Matrix
    slots: int
    cap: int

    def scores(self, dtype: torch.dtype) -> torch.Tensor:
        """S^T, ``[E, T]``."""
        return torch.tensor(self.logits, dtype=dtype).softmax(-1).T.contiguous()


@st.composite
def programmes(draw, max_experts: int, max_tokens: int) -> Programme:
    experts = draw(st.integers(1, max_experts))
    cap = draw(st.integers(1, experts))
    least = -(-experts // cap)  # tokens that make room for one slot each
    tokens = draw(st.integers(least, max(least, max_tokens)))
    slots = draw(st.integers(1, cap * tokens // experts))
    return Programme(draw(matrices(tokens, experts)), slots, cap)


def kept_constraints(plan: torch.Tensor, programme: Programme) -> torch.Tensor:
    """Check 0..1 and the rows; return by how much the fullest column is too full."""
    rows = plan.sum(1)
    assert plan.min() >= 0 and plan.max() <= 1
    assert torch.allclose(rows, torch.full_like(rows, programme.slots), rtol=1e-5)
    return (plan.sum(0) - programme.cap).max()


@settings(deadline=None, max_examples=25)
@given(programmes(5, 12), st.sampled_from([0.001, 0.01, 0.3]))
def test_the_plan_keeps_the_constraints(programme, strength):
    """The cap is reached slowly where every token needs all of it."""
    tokens, experts = len(programme.logits), len(programme.logits[0])
    assume(programme.slots * experts < programme.cap * tokens)
    plan = capped_assignment(
        programme.scores(torch.float64),
        programme.slots,
        programme.cap,
        entropy_weight=strength,
        max_iterations=400,
    )
    assert kept_constraints(plan, programme) < 0.02


@settings(deadline=None, max_examples=15)
@given(programmes(3, 4), st.sampled_from([0.1, 0.5]))
def test_no_solver_finds_a_better_plan(programme, strength):
    """Where enough rounds have settled, at a strength that leaves no corner."""
    scores = programme.scores(torch.float64)
    slots, cap = programme.slots, programme.cap
    plan = capped_assignment(
        scores, slots, cap, entropy_weight=strength, max_iterations=1000
    )
    assert kept_constraints(plan, programme) < 1e-3
    scores = scores.tolist()
    truth = best_plan(scores, slots, cap, strength)
    assume(truth is not None)
    best = entropy_objective(scores, truth, strength)
    assert entropy_objective(scores, plan.tolist(), strength) > best - 1e-3


def test_padding_takes_no_part_in_the_plan():
    torch.manual_seed(0)
    scores = torch.randn(9, 4).softmax(-1).T.contiguous()
    real = torch.tensor([True] * 6 + [False] * 3)
    masked = capped_assignment(scores, 2, 2, real=real)
    alone = capped_assignment(scores[:, :6].contiguous(), 2, 2)
    assert masked[:, 6:].eq(0).all()
    assert torch.allclose(masked[:, :6], alone, atol=1e-5)


def test_the_table_holds_the_best_of_the_plan_with_the_scores_as_weights():
    torch.manual_seed(0)
    logits = torch.randn(96, 8)
    router = ExpertChoiceRouter(3, 8, capacity_factor=1.0, max_experts_per_token=2)
    routing = router.route(logits)
    probs = routing.router_probs
    plan = capped_assignment(probs.T, routing.capacity, 2)
    rows = expert_choice(
        probs.tolist(), routing.capacity, range(96), plan=plan.tolist()
    )
    assert_same_table(routing, rows)
    free = ExpertChoiceRouter(3, 8, capacity_factor=1.0).route(logits)
    most = [torch.bincount(r.token_index).max().item() for r in (free, routing)]
    assert most == [3, 2]
