"""Loss bugs that other libraries and tutorials have or had, and that ours have not.

Each test names whose bug it is, with the wrong formula beside ours where it is
short, so that the test also shows that it would have noticed.
"""

import math

import pytest
import torch

from moe_lib.losses import cv_squared, load_balancing_loss, router_z_loss
from moe_lib.routers import NoisyTopKRouter, SwitchRouter, TopKRouter


def f_times_p(asked: torch.Tensor, probs: torch.Tensor) -> torch.Tensor:
    """``E sum_i f_i P_i`` from demand ``[E]`` and probabilities ``[T, E]``."""
    f = asked / asked.sum()
    return probs.shape[1] * (f * probs.mean(0)).sum()


def everyone_to(expert: int, tokens: int, experts: int) -> torch.Tensor:
    return 9.0 * torch.eye(experts)[expert].repeat(tokens, 1)


# Load balancing


def test_transformers_mixtral_balance_loss_was_constant():
    """First release: P came from the top-k weights, which always sum to 1."""
    spread = 9.0 * torch.eye(8).repeat(4, 1)
    heap = everyone_to(0, 32, 8)
    for logits in (spread, heap):
        top = logits.softmax(-1).topk(2).values
        assert (top / top.sum(-1, keepdim=True)).mean() == 0.5  # whoever was chosen
    router = TopKRouter(3, 8, top_k=2)
    low, high = (load_balancing_loss(router.route(x)) for x in (spread, heap))
    assert high > 3.9 and low < 1.1


def test_transformers_mixtral_joins_all_layers_before_f_times_p():
    """Two layers, collapsed on opposite halves of the experts, looked balanced."""
    router = TopKRouter(3, 4, top_k=2)
    halves = [
        9.0 * torch.tensor([[1.0, 1, 0, 0]]),
        9.0 * torch.tensor([[0.0, 0, 1, 1]]),
    ]
    layers = [router.route(half.repeat(16, 1)) for half in halves]
    asked = sum(layer.demand_per_expert for layer in layers)
    joined = f_times_p(asked, torch.cat([layer.router_probs for layer in layers]))
    assert joined.item() == pytest.approx(1)
    per_layer = [load_balancing_loss(layer).item() for layer in layers]
    assert per_layer == pytest.approx([2, 2], abs=1e-3)


def test_transformers_routers_returned_probabilities_as_router_logits():
    """A softmax of a softmax makes collapse look half as bad."""
    routing = TopKRouter(3, 4, top_k=1).route(everyone_to(0, 8, 4))
    assert torch.equal(routing.router_logits, everyone_to(0, 8, 4))
    twice = f_times_p(routing.demand_per_expert, routing.router_probs.softmax(-1))
    assert twice < 2 and load_balancing_loss(routing) > 3.99


def test_transformers_switch_counted_dropped_tokens_as_expert_0():
    """f was the argmax of a one-hot that the capacity had emptied."""
    routing = SwitchRouter(3, 4, capacity_factor=0.5).route(everyone_to(3, 64, 4))
    assert routing.capacity == 8 and routing.kept.sum() == 8
    emptied = torch.zeros(64, 4)
    emptied[torch.arange(64), routing.expert_index] = routing.kept.float()
    wrong = torch.bincount(emptied.argmax(-1), minlength=4)
    assert (wrong / 64).tolist() == [0.875, 0, 0, 0.125]
    assert routing.demand_per_expert.tolist() == [0, 0, 0, 64]
    assert f_times_p(wrong, routing.router_probs) < 0.6
    assert load_balancing_loss(routing) > 3.99


def test_fastmoe_switch_divides_by_the_tokens_kept():
    """f and P of the kept tokens alone do not see what was dropped."""
    logits = torch.cat([everyone_to(0, 30, 2), everyone_to(1, 10, 2)])
    routing = SwitchRouter(3, 2, capacity_factor=0.5).route(logits)
    kept = f_times_p(routing.tokens_per_expert, routing.router_probs[routing.kept])
    assert kept.item() == pytest.approx(1, abs=1e-3)  # ten of each: looks balanced
    assert load_balancing_loss(routing).item() == pytest.approx(1.25, abs=1e-3)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_tutorials_lose_the_factor_e_or_gain_a_factor_k(k):
    """At balance: 1/E without E; k where f is a sum over the k choices."""
    logits = torch.stack([torch.eye(4).roll(i, 0) for i in range(k)]).sum(0)
    routing = TopKRouter(3, 4, top_k=k).route(logits)
    f, p = routing.demand_per_expert / 4, routing.router_probs.mean(0)
    assert 4 * (f * p).sum().item() == pytest.approx(k)
    assert load_balancing_loss(routing).item() == pytest.approx(1)


def test_tutorials_balance_mean_probabilities_only():
    """All tokens choose expert 0 by a hair: the variance of P hardly shows it."""
    logits = torch.tensor([[0.01, 0.0]]).repeat(50, 1).requires_grad_()
    routing = SwitchRouter(3, 2).route(logits)
    assert routing.router_probs.mean(0).var() < 1e-4
    (grad,) = torch.autograd.grad(load_balancing_loss(routing), logits)
    assert (50 * grad[:, 0] > 0.4).all()  # f = (1, 0): a full pull towards expert 1


def test_the_counts_f_carry_no_gradient():
    logits = torch.randn(9, 4, requires_grad=True)
    routing = TopKRouter(3, 4, top_k=2).route(logits)
    (ours,) = torch.autograd.grad(load_balancing_loss(routing), logits)
    constant = f_times_p(routing.demand_per_expert, logits.softmax(-1))
    (through_p,) = torch.autograd.grad(constant, logits)
    assert torch.allclose(ours, through_p, atol=1e-7)


def test_nanomoe_balance_loss_has_no_gradient_for_experts_not_chosen():
    """Its P holds the renormalised top-k weights, zero for everyone else."""
    logits = torch.tensor([[3.0, 2, 0, 1], [3, 2, 0, 1]], requires_grad=True)
    routing = TopKRouter(3, 4, top_k=2).route(logits)
    wrong = f_times_p(routing.demand_per_expert, routing.dense())
    (dead,) = torch.autograd.grad(wrong, logits, retain_graph=True)
    assert dead[:, 2:].eq(0).all()
    (alive,) = torch.autograd.grad(load_balancing_loss(routing), logits)
    assert alive.ne(0).all()


# The other losses


def test_transformers_switch_v5_z_loss_was_fed_probabilities():
    logits = torch.full((5, 4), 30.0)
    routing = SwitchRouter(3, 4).route(logits)
    of_probs = routing.router_probs.logsumexp(-1).square().mean()
    assert of_probs < 3
    assert router_z_loss(routing).item() == pytest.approx((30 + math.log(4)) ** 2)


def test_nanomoe_z_loss_saw_the_noise():
    router = NoisyTopKRouter(3, 4, top_k=2).train()
    x = torch.randn(6, 3)
    assert torch.equal(router(x).router_logits, router.gate(x))
    assert router_z_loss(router(x)) == router_z_loss(router(x))


def test_davidmrau_takes_the_unbiased_variance():
    x = torch.tensor([1.0, 3.0])
    assert (x.var() / x.mean() ** 2).item() == 0.5
    assert cv_squared(x).item() == 0.25


def test_davidmrau_and_tutel_compare_probabilities_with_noisy_logits():
    """Their load of 512 tokens with k = 2 sums to 1477; 1024 rows were asked for."""
    torch.manual_seed(0)
    router = NoisyTopKRouter(16, 8, top_k=2).train()
    torch.nn.init.normal_(router.gate.weight, std=0.5)
    routing = router(torch.randn(512, 16))
    assert routing.expected_load.sum().item() == pytest.approx(1024, rel=0.03)
