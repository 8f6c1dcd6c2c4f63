"""Gradients of a gate that draws: right on average, or provably not."""

import pytest
import torch

from moe_lib.course.hard_gate_race import train_hard_gates
from moe_lib.losses import competitive_loss, cooperative_loss
from moe_lib.models.hard_gate import (
    ESTIMATORS,
    draw_experts,
    enumerated,
    logit_gradient,
    reinforce,
    reinforce_with_baseline,
    soft,
    straight_through,
)

DRAWS = 40_000


def problem(cases=6, experts=3, d_out=2, seed=0):
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    return normal(cases, experts), normal(cases, experts, d_out), normal(cases, d_out)


def repeated(values, times=DRAWS):
    return [v.expand(times, *v.shape) for v in values]


def sampled(surrogate, values, seed=1):
    """Mean estimate and its standard error, ``[T, E]`` each."""
    draw = torch.Generator().manual_seed(seed)
    g = logit_gradient(surrogate, *repeated(values), draw)
    return g.mean(dim=0), g.std(dim=0) / DRAWS**0.5


def exact(values):
    return logit_gradient(enumerated, *values, torch.Generator())


def test_the_enumerated_loss_is_the_competitive_loss_of_1991():
    logits, outputs, targets = problem()
    mean = enumerated(logits, outputs, targets, torch.Generator()).mean()
    torch.testing.assert_close(
        mean, competitive_loss(outputs, logits.softmax(-1), targets)
    )
    blend = soft(logits, outputs, targets, torch.Generator()).mean()
    torch.testing.assert_close(
        blend, cooperative_loss(outputs, logits.softmax(-1), targets)
    )


def test_the_exact_gradient_is_the_sum_over_draws():
    logits, outputs, targets = problem()
    p, total = logits.softmax(-1), torch.zeros_like(logits)
    for z in range(3):
        loss = (targets - outputs[:, z]).square().sum(-1)
        one = torch.nn.functional.one_hot(torch.tensor(z), 3)
        total += (p[:, z] * loss)[:, None] * (one - p)
    torch.testing.assert_close(exact((logits, outputs, targets)), total)


def test_draws_follow_the_softmax():
    logits = torch.tensor([[0.0, 1.0, -2.0]], dtype=torch.float64)
    hard = draw_experts(logits.expand(DRAWS, 1, 3), torch.Generator().manual_seed(0))
    p = logits.softmax(-1)[0]
    assert torch.equal(hard.sum(-1), torch.ones(DRAWS, 1).double())
    error = (p * (1 - p) / DRAWS).sqrt()
    assert ((hard.mean(dim=0)[0] - p).abs() < 4.5 * error).all()


@pytest.mark.parametrize("surrogate", [reinforce, reinforce_with_baseline])
@pytest.mark.parametrize("seed", range(3))
def test_reinforce_is_unbiased(surrogate, seed):
    values = problem(seed=seed)
    mean, error = sampled(surrogate, values)
    assert ((mean - exact(values)).abs() < 4.5 * error).all()
    assert error.min() > 0


def test_a_baseline_makes_it_quieter():
    values = problem(cases=16)
    loud, quiet = (sampled(s, values)[1] for s in (reinforce, reinforce_with_baseline))
    assert quiet.square().sum() < 0.8 * loud.square().sum()


def test_straight_through_is_biased_and_equals_the_soft_gate_on_average():
    values = problem()
    mean, error = sampled(straight_through, values)
    assert ((mean - exact(values)).abs() > 10 * error).any()
    blended = logit_gradient(soft, *values, torch.Generator())
    assert ((mean - blended).abs() < 4.5 * error).all()


def test_the_bias_is_the_formula_of_the_chapter():
    # two experts: soft minus exact, for expert 1's logit, and none at one half
    draw = torch.Generator().manual_seed(3)
    outputs = torch.randn(9, 2, 2, generator=draw, dtype=torch.float64)
    targets = torch.randn(9, 2, generator=draw, dtype=torch.float64)
    share = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    logits = torch.stack([torch.zeros(9).double(), share.logit()], dim=1)
    values = logits, outputs, targets
    bias = logit_gradient(soft, *values, draw)[:, 1] - exact(values)[:, 1]
    apart = (outputs[:, 1] - outputs[:, 0]).square().sum(-1)
    torch.testing.assert_close(bias, share * (1 - share) * (2 * share - 1) * apart)
    assert bias[4].abs() < 1e-12


def test_only_the_drawn_expert_learns():
    logits, outputs, targets = problem()
    for surrogate in (reinforce, reinforce_with_baseline, straight_through):
        o = outputs.clone().requires_grad_()
        draw = torch.Generator().manual_seed(7)
        surrogate(logits, o, targets, draw).sum().backward()
        hard = draw_experts(logits, torch.Generator().manual_seed(7))
        error = -2 * (targets[:, None] - outputs) * hard[..., None]
        torch.testing.assert_close(o.grad, error)


def test_all_four_learn_the_two_lines():
    losses = train_hard_gates(range(3), steps=300, rates=(0.1,))
    assert set(losses) == set(ESTIMATORS)
    for name, runs in losses.items():
        assert runs.shape == (16, 3)
        assert runs[0].min() > 0.2, name
        assert runs[-1].median() < 0.1, name


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((torch.zeros(3, 2), torch.zeros(3, 4, 1), torch.zeros(3, 1)), "do not fit"),
        ((torch.zeros(3, 2), torch.zeros(3, 2, 1), torch.zeros(2, 1)), "do not fit"),
        ((torch.zeros(1, 2), torch.zeros(1, 2, 1), torch.zeros(1, 1)), "2 or more"),
    ],
)
def test_bad_input_is_named_in_one_line(values, words):
    with pytest.raises(ValueError, match=words) as caught:
        logit_gradient(reinforce_with_baseline, *values, torch.Generator())
    assert "\n" not in str(caught.value)
