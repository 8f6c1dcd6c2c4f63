"""The router losses by their identities."""

import math

import pytest
import torch

from moe_lib.losses import (
    cv_squared,
    importance_loss,
    load_balancing_loss,
    load_loss,
    router_z_loss,
)
from moe_lib.routers import (
    ExpertChoiceRouter,
    GShardRouter,
    HashRouter,
    HierarchicalRouter,
    NoisyTopKRouter,
    SoftmaxGate,
    SwitchRouter,
    TopKRouter,
)

LOSSES = [load_balancing_loss, router_z_loss, importance_loss, load_loss]


def logits(tokens: int, experts: int, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(tokens, experts, generator=draw, dtype=torch.float64)


def sure_of(*experts: int, of: int) -> torch.Tensor:
    """Logits of tokens that leave no doubt."""
    return torch.nn.functional.one_hot(torch.tensor(experts), of) * 200.0


@pytest.mark.parametrize("experts", [1, 2, 3, 5, 8])
def test_balance_is_exactly_1_and_collapse_is_the_number_of_experts(experts):
    router = SwitchRouter(3, experts, capacity_factor=0.5)
    balanced = router.route(sure_of(*range(experts), of=experts).repeat(7, 1))
    collapsed = router.route(sure_of(*[experts - 1] * 7, of=experts))
    assert load_balancing_loss(balanced) == 1.0
    assert load_balancing_loss(collapsed) == experts
    assert importance_loss(balanced) == 0.0
    # one of E holds all: mean m / E, variance m^2 (E - 1) / E^2
    assert importance_loss(collapsed).item() == pytest.approx(experts - 1)


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_balance_is_1_whatever_top_k(top_k):
    # equal logits would all go to the lowest index; so rotate who is ahead by a hair
    turn = torch.stack([torch.arange(6).roll(i) for i in range(6)]) * 1e-6
    loss = load_balancing_loss(TopKRouter(3, 6, top_k=top_k).route(turn))
    assert loss.item() == pytest.approx(1.0, abs=1e-5)


def test_dropping_does_not_hide_an_imbalance():
    unfair = logits(64, 4) + torch.tensor([3.0, 0, 0, 0])
    tight = SwitchRouter(3, 4, capacity_factor=0.25).route(unfair)
    roomy = SwitchRouter(3, 4, capacity_factor=None).route(unfair)
    assert tight.drop_fraction > 0.5
    assert load_balancing_loss(tight) == load_balancing_loss(roomy) > 1.5


def test_switch_is_gshards_auxiliary_loss_times_experts_squared():
    """GShard, algorithm 1, line 13: l_aux = 1/E sum_e c_e/S m_e, per group."""
    tokens, experts, size = 24, 5, 8
    router = SwitchRouter(3, experts, group_size=size)
    routing = router.route(logits(tokens, experts))
    total = 0.0
    for start in range(0, tokens, size):
        gates = routing.router_probs[start : start + size].tolist()
        counts = [0] * experts
        for row in gates:
            counts[row.index(max(row))] += 1
        for e in range(experts):
            mean = sum(row[e] for row in gates) / size
            total += counts[e] / size * mean / experts
    l_aux = total / (tokens // size)
    ours = load_balancing_loss(routing).item()
    assert ours == pytest.approx(experts**2 * l_aux, rel=1e-12)


def test_groups_average_and_one_group_is_the_whole():
    values = logits(20, 4)
    by_group = SwitchRouter(3, 4, group_size=5).route(values)
    alone = SwitchRouter(3, 4)
    each = [load_balancing_loss(alone.route(part)) for part in values.split(5)]
    assert load_balancing_loss(by_group).item() == pytest.approx(
        torch.stack(each).mean().item(), rel=1e-12
    )
    whole = load_balancing_loss(SwitchRouter(3, 4, group_size=20).route(values))
    assert whole == load_balancing_loss(alone.route(values))
    assert whole.item() != pytest.approx(load_balancing_loss(by_group).item(), rel=1e-3)


def test_layers_are_averaged_and_not_concatenated():
    """Two layers, collapsed on opposite halves, must not look balanced together."""
    router = TopKRouter(3, 4, top_k=2)
    lower = router.route(torch.tensor([[50.0, 50, 0, 0]] * 8))
    upper = router.route(torch.tensor([[0.0, 0, 50, 50]] * 8))
    mean = (load_balancing_loss(lower) + load_balancing_loss(upper)) / 2
    assert mean.item() == pytest.approx(2.0)  # E / k: as bad as top-2 can be


def test_gradient_of_balance_flows_through_the_probabilities_alone():
    """d(E sum f P)/dz with f held fixed, by hand."""
    z = logits(12, 4).requires_grad_()
    routing = SwitchRouter(3, 4).route(z)
    (grad,) = torch.autograd.grad(load_balancing_loss(routing), z)
    f = routing.demand_per_expert / 12
    p = routing.router_probs.detach()
    by_hand = 4 / 12 * p * (f - (p * f).sum(1, keepdim=True))
    assert torch.allclose(grad, by_hand, atol=1e-15)
    assert grad.abs().max() > 1e-3


def test_z_loss_is_the_mean_square_of_logsumexp():
    z = logits(9, 5).requires_grad_()
    routing = TopKRouter(3, 5).route(z)
    by_loop = [math.log(sum(map(math.exp, row))) ** 2 for row in z.tolist()]
    loss = router_z_loss(routing)
    assert loss.item() == pytest.approx(sum(by_loop) / 9, rel=1e-12)
    (grad,) = torch.autograd.grad(loss, z)
    lse = z.detach().logsumexp(1, keepdim=True)
    assert torch.allclose(grad, 2 / 9 * lse * z.detach().softmax(1), atol=1e-15)
    zero = router_z_loss(TopKRouter(3, 5).route(torch.zeros(9, 5)))
    assert zero.item() == pytest.approx(math.log(5) ** 2)


def test_cv_squared_takes_the_population_variance():
    assert cv_squared(torch.tensor([1.0, 3.0])).item() == 0.25
    assert cv_squared(torch.tensor([5, 5, 5])) == 0
    x = torch.zeros(3, requires_grad=True)
    cv_squared(x).backward()
    assert x.grad.isfinite().all()
    assert cv_squared(torch.tensor([4.0])) == 0


def test_importance_and_load_of_the_noisy_router():
    router = NoisyTopKRouter(3, 4, top_k=2).double()
    torch.nn.init.normal_(router.gate.weight)
    routing = router(torch.randn(50, 3).double())
    by_table = [0.0] * 4
    for e, w in zip(
        routing.expert_index.tolist(), routing.combine_weights.tolist(), strict=True
    ):
        by_table[e] += w
    for loss, values in (
        (importance_loss, torch.tensor(by_table).double()),
        (load_loss, routing.expected_load.detach()),
    ):
        cv = values.std(correction=0) / values.mean()
        assert loss(routing).item() == pytest.approx(cv.item() ** 2, rel=1e-5)
        (grad,) = torch.autograd.grad(
            loss(routing), router.gate.weight, retain_graph=True
        )
        assert grad.abs().max() > 1e-4
    even = router.eval().route(logits(50, 4))  # in eval, the counted demand
    assert torch.equal(even.expected_load, even.demand_per_expert.double())


def test_load_loss_needs_an_expected_load():
    with pytest.raises(ValueError, match="expected_load is None: take a NoisyTopK"):
        load_loss(TopKRouter(3, 4).route(torch.zeros(2, 4)))


ROUTERS = {
    "softmax": lambda: SoftmaxGate(3, 4),
    "noisy_top_k": lambda: NoisyTopKRouter(3, 4),
    "gshard": lambda: GShardRouter(3, 4, group_size=4),
    "switch": lambda: SwitchRouter(3, 4, group_size=4, batch_prioritized_routing=True),
    "expert_choice": lambda: ExpertChoiceRouter(3, 4, group_size=4),
    "top_k": lambda: TopKRouter(3, 4),
    "hierarchical": lambda: HierarchicalRouter(3, (2, 2)),
    "hash": lambda: HashRouter(3, 4, 7),
}


def losses_of(routing) -> list[float]:
    with_load = routing.expected_load is not None
    return [loss(routing).item() for loss in LOSSES[: 4 if with_load else 3]]


def called(router, x, mask=None):
    return router(x, mask, torch.arange(len(x)) % 7)


@pytest.mark.parametrize("kind", ROUTERS)
def test_padding_counts_in_no_loss(kind):
    """A group of padding, however it looks, adds nothing and weighs nothing."""
    torch.manual_seed(0)
    router = ROUTERS[kind]().eval()
    for weight in router.parameters():
        torch.nn.init.normal_(weight)
    x = torch.randn(8, 3)
    padded = torch.cat([x, torch.full((4, 3), 9.0)]).requires_grad_()
    mask = torch.arange(12) < 8
    routing = called(router, padded, mask)
    if kind != "expert_choice" or routing.group_size:  # its C grows with the shape
        assert losses_of(routing) == pytest.approx(losses_of(called(router, x)))
    total = sum(loss(routing) for loss in LOSSES[:3])
    if total.requires_grad:
        (grad,) = torch.autograd.grad(total, padded)
        assert grad[8:].eq(0).all() and grad[:8].ne(0).any()


@pytest.mark.parametrize("kind", ROUTERS)
@pytest.mark.parametrize("training", [True, False])
def test_an_empty_batch_and_one_of_padding_cost_0(kind, training):
    router = ROUTERS[kind]().train(training)
    empty = called(router, torch.zeros(0, 3))
    padding = called(router, torch.zeros(4, 3), torch.zeros(4, dtype=torch.bool))
    for routing in (empty, padding):
        assert set(losses_of(routing)) == {0.0}
        loss = load_balancing_loss(routing)
        if routing.router_probs.requires_grad:
            loss.backward()
            assert router.gate.weight.grad.eq(0).all()


@pytest.mark.parametrize("kind", ROUTERS)
def test_losses_run_on_meta(kind):
    router = ROUTERS[kind]().to("meta")
    x = torch.empty(8, 3, device="meta")
    ids = torch.empty(8, dtype=torch.int64, device="meta")
    mask = torch.empty(8, dtype=torch.bool, device="meta")
    routing = router(x, mask, ids)
    total = sum(loss(routing) for loss in LOSSES[:3])
    assert total.device.type == "meta" and total.shape == ()
    if kind != "hash":
        total.backward()
        assert router.gate.weight.grad.shape == router.gate.weight.shape
