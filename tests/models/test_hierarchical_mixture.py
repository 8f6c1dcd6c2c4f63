"""The tree of Jordan and Jacobs: its likelihood, its EM, its manners."""

import math
import os
import signal
from itertools import pairwise

import pytest
import torch

from moe_lib.data.made import zigzag
from moe_lib.models.em_steps import (
    gate_log_likelihood,
    newton_gate,
    weighted_least_squares,
    with_bias,
)
from moe_lib.models.hierarchical_mixture import HierarchicalMixture


def draw(shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def never_falls(history):
    return all(b >= a - 1e-9 * max(1.0, abs(a)) for a, b in pairwise(history))


@pytest.mark.parametrize("seed", range(50))
def test_em_never_lowers_the_likelihood(seed):
    # every start another shape, every third on the zigzag, some with few cases
    if seed % 3 == 0:
        x, y, _ = zigzag(120, seed=seed)
    else:
        cases, d_in, d_out = 15 + seed * 3, 1 + seed % 4, 1 + seed % 2
        x, y = draw((cases, d_in), seed), draw((cases, d_out), seed + 1000)
    branch = [(2, 2), (1, 3), (3, 1), (2, 3)][seed % 4]
    model = HierarchicalMixture(x.shape[1], y.shape[1], branch, seed=seed)
    history = model.fit(x, y, 25, newton_steps=1 + seed % 3)
    assert len(history) == 26
    assert never_falls(history)
    assert history[-1] > history[0]
    assert history[-1] == model.log_likelihood(x, y).item()


def test_a_gate_that_can_separate_without_error_stays_finite():
    x = torch.cat([draw((40, 1), 0) - 6, draw((40, 1), 1) + 6])
    y = torch.where(x < 0, -x, 3 * x)
    model = HierarchicalMixture(1, 1, (2, 1), seed=0)
    history = model.fit(x, y, 80)
    assert never_falls(history) and math.isfinite(history[-1])
    assert torch.isfinite(model.top_gate).all()


def test_likelihood_equals_the_loop():
    model = HierarchicalMixture(3, 2, (2, 3), seed=4)
    with torch.no_grad():
        model.log_variance.copy_(0.3 * draw((2, 3), 5))
    x, y = draw((7, 3), 6), draw((7, 2), 7)
    total = 0.0
    for t in range(7):
        row, density = [*x[t].tolist(), 1.0], 0.0

        def dot(w, row=row):
            return sum(a * b for a, b in zip(w.tolist(), row, strict=True))

        top = [math.exp(dot(w)) for w in model.top_gate]
        for i in range(2):
            low = [math.exp(dot(w)) for w in model.low_gates[i]]
            for j in range(3):
                variance = math.exp(model.log_variance[i, j].item())
                p = top[i] / sum(top) * low[j] / sum(low)
                for o in range(2):
                    error = y[t, o].item() - dot(model.experts[i, j, o])
                    p *= math.exp(-(error**2) / (2 * variance))
                    p /= math.sqrt(2 * math.pi * variance)
                density += p
        total += math.log(density)
    assert model.log_likelihood(x, y).item() == pytest.approx(total / 7, rel=1e-12)


def test_responsibilities_are_bayes_rule():
    model, (x, y, _) = HierarchicalMixture(1, 1, (3, 2), seed=1), zigzag(50)
    top, low, both = model.responsibilities(x, y)
    assert top.shape == (50, 3) and low.shape == both.shape == (50, 3, 2)
    one = torch.ones(50, dtype=torch.float64)
    torch.testing.assert_close(top.sum(1), one)
    torch.testing.assert_close(low.sum(2), one[:, None].expand(50, 3))
    joint = model.log_joint(x, y).exp()
    torch.testing.assert_close(both, joint / joint.sum(dim=(1, 2), keepdim=True))


def test_the_responsibilities_are_the_gradient_of_the_likelihood():
    # Fisher's identity: d log P / d log(joint) = h, so both must agree on the gates
    model, (x, y, _) = HierarchicalMixture(1, 1, (2, 2), seed=3), zigzag(60)
    slope = torch.autograd.grad(model.log_likelihood(x, y), model.top_gate)[0]
    h_top, _, _ = model.responsibilities(x, y)
    goal = (h_top - model.log_gates(x)[0].exp()).T @ with_bias(x) / 60
    torch.testing.assert_close(slope, goal.detach())


def test_one_expert_is_least_squares():
    x, y = draw((80, 4), 0), draw((80, 3), 1)
    model = HierarchicalMixture(4, 3, (1, 1), seed=0)
    model.fit(x, y, 3)
    line = torch.linalg.lstsq(with_bias(x), y).solution
    torch.testing.assert_close(model.experts[0, 0], line.T, rtol=1e-7, atol=1e-8)
    error = (with_bias(x) @ line - y).square().mean()
    assert model.log_variance.exp().item() == pytest.approx(error.item(), rel=1e-7)
    torch.testing.assert_close(model(x), with_bias(x) @ line, rtol=1e-7, atol=1e-8)


def test_em_finds_the_four_pieces():
    x, y, piece = zigzag(300)
    model = HierarchicalMixture(1, 1, (2, 2), seed=4)
    model.fit(x, y, 40)
    owner = model.responsibilities(x, y)[2].flatten(1).argmax(dim=1)
    table = torch.zeros(4, 4).index_put_((piece, owner), torch.tensor(1.0), True)
    assert table.max(dim=1).values.sum() / 300 > 0.95  # one expert for each piece
    assert set(table.argmax(dim=1).tolist()) == {0, 1, 2, 3}
    assert model.log_variance.exp().sqrt().mean().item() == pytest.approx(0.1, abs=0.02)


def test_an_expert_without_cases_stays_where_it_was():
    x, y = with_bias(draw((20, 2), 0)), draw((20, 1), 1)
    weight = torch.stack([torch.ones(20), torch.zeros(20)], dim=1).double()
    start = draw((2, 1, 3), 2)
    lines = weighted_least_squares(x, y, weight, start)
    assert torch.isfinite(lines).all()
    torch.testing.assert_close(lines[1], start[1])
    torch.testing.assert_close(lines[0].T, torch.linalg.lstsq(x, y).solution)


def test_newton_arrives_where_the_slope_is_zero():
    x, weight = with_bias(draw((60, 2), 0)), draw((60,), 1).abs()
    goal = draw((60, 3), 2).softmax(dim=1)
    start = draw((3, 3), 3)
    gate = newton_gate(x, goal, weight, start, steps=30)
    p = (x @ gate.T).softmax(dim=1)
    slope = torch.einsum("t,tk,td->kd", weight, goal - p, x)
    assert slope.abs().max() < 1e-6
    before, after = (gate_log_likelihood(x, goal, weight, g) for g in (start, gate))
    assert after > before


def test_gradient_descent_learns_by_the_same_measure():
    model, (x, y, _) = HierarchicalMixture(1, 1, seed=0), zigzag(100)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    before = model.log_likelihood(x, y).item()
    for _ in range(20):
        optimizer.zero_grad()
        (-model.log_likelihood(x, y)).backward()
        optimizer.step()
    assert model.log_likelihood(x, y).item() > before + 0.05
    assert all(p.grad is not None for p in model.parameters())


def test_a_stopped_fit_keeps_whole_iterations(monkeypatch, capsys):
    x, y, _ = zigzag(100)
    model = HierarchicalMixture(1, 1, seed=0)
    real, calls = HierarchicalMixture._fit_gates, []

    def third_time_unlucky(self, *args):
        calls.append(1)
        if len(calls) == 3:  # the experts of this step have been replaced already
            os.kill(os.getpid(), signal.SIGINT)
        real(self, *args)

    monkeypatch.setattr(HierarchicalMixture, "_fit_gates", third_time_unlucky)
    history = model.fit(x, y, 10)
    assert len(history) == 4  # the iteration in hand was finished
    assert model.log_likelihood(x, y).item() == history[-1]
    assert "3 of 10" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: HierarchicalMixture(1, 1, (2, 0)), r"branch\[1\]=0"),
        (lambda: HierarchicalMixture(0, 1), "d_in=0"),
        (lambda: HierarchicalMixture(1, 1, (2,)), r"branch=\(2,\)"),
        (lambda: HierarchicalMixture(1, 1, smallest_variance=0), "smallest_variance=0"),
        (lambda: HierarchicalMixture(2, 1)(torch.zeros(3, 1)), "1 columns"),
        (lambda: fit(torch.zeros(3, 1).double(), torch.zeros(4, 1).double()), "3 rows"),
        (lambda: fit(torch.full((3, 1), math.nan), torch.zeros(3, 1)), r"x\[0, 0\]"),
        (lambda: fit(torch.zeros(3, 1), torch.zeros(3, 2)), "y has 2 columns"),
        (
            lambda: HierarchicalMixture(1, 1).em_step(
                torch.zeros(3, 1).double(), torch.full((3, 1), math.nan).double()
            ),
            r"y\[0, 0\] is nan .* drop those rows",
        ),
    ],
)
def test_bad_input_is_named_in_one_line(make, words):
    with pytest.raises(ValueError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def fit(x, y):
    return HierarchicalMixture(1, 1, dtype=x.dtype).fit(x, y, 1)
