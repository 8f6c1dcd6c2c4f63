"""The routers of 2017 and their load against loops; the noise is drawn twice."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from moe_lib.routers import HierarchicalRouter, NoisyTopKRouter
from oracles import hierarchical, token_choice
from oracles.arithmetic import Matrix, softplus
from oracles.draws import cases, matrices
from oracles.tables import assert_clean_probs, assert_same_table

SEEDS = st.integers(0, 2**31)


def many(examples: int):
    return settings(deadline=None, max_examples=examples)


@many(120)
@given(cases(), st.data())
def test_noisy_top_k_in_eval_is_top_k(case, data):
    k = data.draw(st.integers(1, case.num_experts))
    router = NoisyTopKRouter(3, case.num_experts, top_k=k).eval()
    routing = router.route(case.tensor, case.token_mask)
    rows = token_choice.keep_top_k(case.logits, k, case.mask)
    assert_clean_probs(routing, case.logits)
    assert_same_table(routing, rows)
    demand = [sum(r.slot is not None and r.expert == e for r in rows)
              for e in range(case.num_experts)]  # fmt: skip
    assert routing.expected_load.tolist() == demand


@many(60)
@given(cases(), st.data(), SEEDS)
def test_noisy_top_k_in_training(case, data, seed):
    """The noise is one ``torch.randn`` of shape ``[T, E]``; the logits are x itself."""
    k = data.draw(st.integers(1, case.num_experts))
    sigmas, spread = noise_of(data, case)
    router = NoisyTopKRouter(case.num_experts, case.num_experts, top_k=k)
    hand_over(router, spread)
    torch.manual_seed(seed)
    routing = router(case.tensor, token_mask=case.token_mask)
    torch.manual_seed(seed)
    noisy = add_noise(case, sigmas)
    assume(no_near_ties(noisy))
    assert_clean_probs(routing, case.logits)
    assert_same_table(routing, token_choice.keep_top_k(noisy, k, case.mask))
    load = token_choice.expected_load(case.logits, noisy, sigmas, k, case.mask)
    assert routing.expected_load.tolist() == pytest.approx(load, rel=1e-4, abs=1e-4)


@many(60)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 7), st.data(), SEEDS)
def test_hierarchical(a, b, tokens, data, seed):
    k = data.draw(st.integers(1, min(a, b)))
    width = a + a * b
    case = data.draw(cases(min_experts=width, max_experts=width, max_tokens=tokens))
    router = HierarchicalRouter(width, (a, b), top_k=k)
    rows = hierarchical.two_levels(case.logits, a, b, k, case.mask)
    still = router.eval().route(case.tensor, case.token_mask)
    assert_same_table(still, rows)
    assert still.expected_load.tolist() == [
        sum(r.slot is not None and r.expert == e for r in rows) for e in range(a * b)
    ]
    probs = hierarchical.full_softmax(case.logits, a, b)
    for got, want in zip(still.router_probs.tolist(), probs, strict=True):
        assert got == pytest.approx(want, rel=1e-4, abs=1e-7)
    assert torch.allclose(still.router_logits.exp(), still.router_probs)

    sigmas, spread = noise_of(data, case)
    hand_over(router.train(), spread)
    torch.manual_seed(seed)
    routing = router(case.tensor, token_mask=case.token_mask)
    torch.manual_seed(seed)
    noisy = add_noise(case, sigmas)
    assume(no_near_ties(noisy))
    assert_same_table(routing, hierarchical.two_levels(noisy, a, b, k, case.mask))
    assert torch.equal(routing.router_probs, still.router_probs)
    load = hierarchical.load_h(case.logits, noisy, sigmas, a, b, k, case.mask)
    assert routing.expected_load.tolist() == pytest.approx(load, rel=1e-4, abs=1e-4)


def noise_of(data, case) -> tuple[Matrix, torch.Tensor]:
    """Deviations ``[T, E]`` and the noise weights that make them from the logits.

    None is below 0.1: what float32 rounds off in the logits is a small part of it.
    """
    weight = torch.tensor(data.draw(matrices(case.num_experts, case.num_experts)))
    weight = weight / weight.abs().sum().clamp(min=1) / 8  # |x W_noise| below 17 / 8
    raw = (case.tensor.double() @ weight.double().T).tolist()
    return [[softplus(v) for v in row] for row in raw], weight


def hand_over(router, noise_weight: torch.Tensor) -> None:
    """Make the gate the identity, so that the logits are the input."""
    with torch.no_grad():
        router.gate.weight.copy_(torch.eye(len(noise_weight)))
        router.noise.weight.copy_(noise_weight)


def add_noise(case, sigmas: Matrix) -> Matrix:
    draws = torch.randn(case.num_tokens, case.num_experts).tolist()
    return [
        [v + n * s for v, n, s in zip(*rows, strict=True)]
        for rows in zip(case.logits, draws, sigmas, strict=True)
    ]


def no_near_ties(noisy: Matrix) -> bool:
    """No two values of a token so close that float32 may see another order."""
    return all(
        abs(x - y) > 1e-5 for row in noisy for i, x in enumerate(row) for y in row[:i]
    )
