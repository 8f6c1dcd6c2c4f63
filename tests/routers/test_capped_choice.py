"""The capped programme of expert choice against scipy's linear programme."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from moe_lib.routers import ExpertChoiceRouter
from moe_lib.routers.capped_choice import capped_assignment


def scores_of(tokens: int, experts: int, seed: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(tokens, experts, generator=draw, dtype=torch.float64)
    return logits.softmax(dim=1).t().contiguous()  # [E, S]


def best_value(scores: torch.Tensor, slots: int, cap: int) -> float:
    experts, tokens = scores.shape
    rows = np.kron(np.eye(experts), np.ones(tokens))
    columns = np.kron(np.ones(experts), np.eye(tokens))
    answer = linprog(
        -scores.numpy().ravel(),
        A_ub=columns,
        b_ub=np.full(tokens, cap),
        A_eq=rows,
        b_eq=np.full(experts, slots),
        bounds=(0, 1),
    )
    return -answer.fun


@pytest.mark.parametrize(
    ("tokens", "experts", "slots", "cap"),
    [(16, 4, 8, 3), (16, 4, 8, 2), (64, 8, 16, 3), (64, 8, 16, 2), (9, 3, 9, 3)],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_constraints_hold_and_the_value_is_the_best(tokens, experts, slots, cap, seed):
    scores = scores_of(tokens, experts, seed)
    a = capped_assignment(scores, slots, cap)
    assert torch.allclose(a.sum(dim=1), torch.tensor(float(slots)).double())
    assert a.sum(dim=0).max() < cap + 0.03
    assert a.min() >= 0 and a.max() <= 1
    best = best_value(scores, slots, cap)
    assert (a * scores).sum().item() == pytest.approx(best, rel=2e-3)
    flat = capped_assignment(scores.float(), slots, cap)
    assert torch.allclose(flat.double(), a, atol=0.01)


def test_more_entropy_is_flatter_and_no_cap_is_top_c():
    scores = scores_of(16, 4, 0)
    sharp = capped_assignment(scores, 4, 4, entropy_weight=1e-5)
    top = torch.zeros_like(scores).scatter(1, scores.topk(4, dim=1).indices, 1.0)
    assert torch.allclose(sharp, top, atol=1e-6)
    flat = capped_assignment(scores, 4, 4, entropy_weight=100.0)
    assert torch.allclose(flat, torch.full_like(flat, 0.25), atol=0.01)


def test_the_router_serves_no_token_more_often_than_the_cap():
    logits = scores_of(64, 8, 3).t().log()
    free = ExpertChoiceRouter(3, 8)
    capped = ExpertChoiceRouter(3, 8, max_experts_per_token=3)
    most = {}
    for name, router in (("free", free), ("capped", capped)):
        routing = router.route(logits)
        most[name] = torch.bincount(routing.token_index, minlength=64).max()
        assert routing.tokens_per_expert.eq(16).all()
        cell = (routing.token_index, routing.expert_index)
        assert torch.equal(routing.combine_weights, routing.router_probs[cell])
    assert most["free"] > 3 and most["capped"] == 3


def test_padding_is_served_last_and_moves_nobody():
    logits = scores_of(24, 4, 5).t().log()
    router = ExpertChoiceRouter(3, 4, max_experts_per_token=3)
    mask = torch.arange(24) < 16
    one = router.route(logits, mask)
    other = logits.clone()
    other[16:] = torch.randn(8, 4)
    two = router.route(other, mask)
    assert one.kept.all()  # 4 * 12 rows fit in 16 tokens, 3 rows each
    assert torch.equal(one.token_index, two.token_index)
    assert mask[one.token_index].all()
    assert torch.bincount(one.token_index, minlength=24).max() == 3
    few = router.route(logits, torch.arange(24) < 2)
    assert few.tokens_per_expert.eq(2).all()  # better too many than a slot unused
