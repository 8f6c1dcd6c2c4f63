"""Stacked mixtures and the running totals that keep all experts in play."""

import pytest
import torch

from moe_lib.course.where_and_what import train_deep_mixture
from moe_lib.data.shifted_digits import shifted_digits
from moe_lib.models.deep_mixture import DeepMixture, MixtureLayer, RunningTotals, bar
from moe_lib.routers import SoftmaxGate


def test_a_layer_is_the_loop_over_its_experts():
    torch.manual_seed(0)
    layer, x = MixtureLayer(5, 3, 4, 6).double(), torch.randn(7, 5).double()
    y, routing = layer(x)
    weights = layer.experts.weight.view(5, 4, 3)
    biases = layer.experts.bias.view(4, 3)
    for t in range(7):
        hidden = torch.relu(layer.gate_hidden.weight @ x[t] + layer.gate_hidden.bias)
        gate = layer.router.gate.weight @ hidden + layer.router.gate.bias
        gate = gate.exp() / gate.exp().sum()
        torch.testing.assert_close(routing.router_probs[t], gate)
        one = sum(
            gate[e] * torch.relu(x[t] @ weights[:, e] + biases[e]) for e in range(4)
        )
        torch.testing.assert_close(y[t], one)


def test_layers_feed_one_another_and_return_their_routings():
    torch.manual_seed(1)
    net = DeepMixture(6, 3, num_experts=(2, 5), d_hidden=(4, 8), d_gate=(3, 3))
    x = torch.randn(9, 6)
    logits, routings = net(x)
    z, first = net.layers[0](x)
    z, second = net.layers[1](z)
    torch.testing.assert_close(logits, net.classifier(z))
    assert [r.num_experts for r in routings] == [2, 5]
    torch.testing.assert_close(routings[1].dense(), second.dense())
    torch.testing.assert_close(routings[0].dense(), first.dense())
    logits.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_a_barred_expert_gets_nothing_and_the_rest_is_renormalised():
    torch.manual_seed(2)
    routing = SoftmaxGate(3, 4)(torch.randn(10, 3))
    allowed = torch.tensor([True, False, True, True])
    barred = bar(routing, allowed)
    probs = routing.router_probs * allowed
    torch.testing.assert_close(barred.dense(), probs / probs.sum(1, keepdim=True))
    assert torch.equal(barred.router_probs, routing.router_probs)
    assert torch.equal(barred.kept.view(10, 4)[0], allowed)
    assert barred.tokens_per_expert.tolist() == [10, 0, 10, 10]
    # also where the gate wanted nobody else
    sure = SoftmaxGate(3, 2).route(torch.tensor([[200.0, -200.0]]))
    other = bar(sure, torch.tensor([False, True]))
    assert other.dense().tolist() == [[0.0, 1.0]]


def test_running_totals_bar_who_is_ahead_of_the_mean():
    totals = RunningTotals((2,), margin=3.0)
    gate = SoftmaxGate(1, 2)
    routing = gate.route(torch.tensor([[30.0, -30.0]] * 4))  # all for expert 0
    assert totals.allowed()[0].tolist() == [True, True]
    totals.add([routing])  # 4 and 0: mean 2, ahead by 2
    assert totals.allowed()[0].tolist() == [True, True]
    totals.add([routing])  # 8 and 0: ahead by 4
    assert totals.allowed()[0].tolist() == [False, True]
    totals.add([bar(routing, totals.allowed()[0])])  # 8 and 4: ahead by 2
    assert totals.allowed()[0].tolist() == [True, True]
    torch.testing.assert_close(totals.totals[0], torch.tensor([8.0, 4.0]).double())


def test_balancing_holds_the_totals_together():
    torch.manual_seed(3)
    totals, worst = RunningTotals((4,), margin=20.0), 0.0
    for _ in range(200):
        routing = SoftmaxGate(2, 4).route(
            torch.tensor([5.0, 1.0, 0.0, -1.0]).repeat(8, 1)
        )
        totals.add([bar(routing, totals.allowed()[0])])
        lead = (totals.totals[0] - totals.totals[0].mean()).max().item()
        worst = max(worst, lead)
    assert 10 < worst <= 20 + 8  # the margin plus one batch
    unbalanced = RunningTotals((4,), margin=float("inf"))
    unbalanced.add([SoftmaxGate(2, 4).route(torch.tensor([[50.0, 0, 0, 0]] * 999))])
    assert unbalanced.allowed()[0].all()


def test_somebody_may_always_take_cases():
    totals = RunningTotals((3,), margin=0.0)
    for share in torch.rand(50).tolist():
        totals.totals[0].fill_(share)  # equal, but their mean may round below them
        assert totals.allowed()[0].any()


def test_it_runs_where_no_value_can_be_looked_at():
    with torch.device("meta"):
        net, totals = DeepMixture(6, 3), RunningTotals((4, 4), 5.0, device="meta")
        logits, routings = net(torch.empty(8, 6), totals.allowed())
    totals.add(routings)
    logits.sum().backward()
    assert all(p.grad.device.type == "meta" for p in net.parameters())


def test_where_below_and_what_above():
    train, test = shifted_digits()
    run = train_deep_mixture(train, test, seed=1)
    assert run.where[0] > 5 * run.what[0] and run.where[0] > 0.4
    assert run.what[1] > 2 * run.where[1] and run.what[1] > 0.25
    assert run.error < 0.2
    again = train_deep_mixture(train, test, seed=1, steps=30)
    once_more = train_deep_mixture(train, test, seed=1, steps=30)
    assert torch.equal(again.share, once_more.share)


def test_without_balancing_one_expert_takes_layer_two():
    train, test = shifted_digits()
    run = train_deep_mixture(train, test, seed=0, margin=float("inf"), steps=500)
    assert run.used[1] == 1
    assert run.share[-1, 1].max() > 0.95


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DeepMixture(4, 2, num_experts=(0, 2)), "num_experts=0"),
        (lambda: DeepMixture(4, 2, num_experts=(2, 2, 2)), "one number per layer"),
        (lambda: DeepMixture(4, 0), "num_classes=0"),
        (lambda: DeepMixture(4, 2)(torch.zeros(2, 5)), "5 columns"),
        (lambda: RunningTotals((2,), -1.0), "margin=-1.0"),
        (lambda: RunningTotals((2,), float("nan")), "margin=nan"),
        (
            lambda: bar(SoftmaxGate(1, 2)(torch.zeros(1, 1)), torch.zeros(2).bool()),
            "one True",
        ),
    ],
)
def test_bad_input_is_named_in_one_line(make, words):
    with pytest.raises(ValueError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)
