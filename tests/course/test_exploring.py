"""Ways of exploring: Switch in eval mode, and in training what they promise."""

import pytest
import torch

from moe_lib.course.exploring import (
    INPUT_DROPOUT,
    JITTER,
    WAYS,
    InputDropoutRouter,
    SampledRouter,
    exploring_router,
    sent_elsewhere,
)
from moe_lib.course.starting import draw_afresh
from moe_lib.course.switch_setup import Setup
from moe_lib.experts import Experts
from moe_lib.routers import SwitchRouter

SETUP = Setup(num_experts=4, d_model=8, capacity_factor=1.25)
COLUMNS = ("token_index", "expert_index", "kept", "position_in_expert",
           "combine_weights", "router_logits", "router_probs")  # fmt: skip


def router_of(way, setup=SETUP, spread=1.0):
    torch.manual_seed(7)
    router = exploring_router(setup, way)
    torch.nn.init.normal_(router.gate.weight, std=spread)
    return router


def tokens(count=64):
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(1))


def assert_equal(one, other):
    for name in COLUMNS:
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert one.capacity == other.capacity


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("eval_factor", [None, 1.0])
def test_in_eval_mode_every_way_is_switch(way, eval_factor):
    setup = SETUP.but(eval_capacity_factor=eval_factor)
    switch = router_of("argmax", setup).eval()
    assert type(switch) is SwitchRouter
    mask = torch.arange(64) % 5 > 0
    tables = [r.eval()(tokens(), mask) for r in (router_of(way, setup), switch)]
    assert_equal(*tables)
    assert (tables[0].drop_fraction > 0) == (eval_factor == 1.0)


@pytest.mark.parametrize("way", WAYS[1:])
def test_in_training_it_explores_with_clean_probabilities(way):
    router, x = router_of(way).train(), tokens(2000)
    table = router(x)
    best = router_of("argmax")(x)
    assert torch.equal(table.router_logits, best.router_logits)
    assert table.capacity == best.capacity == 625
    moved = (table.expert_index != best.expert_index).double().mean().item()
    assert 0 < moved < 0.7
    assert moved == pytest.approx(sent_elsewhere(router, x), abs=0.05)
    assert router.training
    torch.manual_seed(0)
    one = router(x)
    torch.manual_seed(0)
    assert_equal(one, router(x))
    assert not torch.equal(one.expert_index, router(x).expert_index)


@pytest.mark.parametrize("way", WAYS)
def test_no_tokens_at_all_are_routed(way):
    assert len(router_of(way).train()(torch.zeros(0, 8)).kept) == 0


def test_sampled_experts_follow_the_softmax():
    """A hundred thousand draws of one softmax: each share within four deviations."""
    logits = torch.tensor([[1.0, 0.0, -1.0, 2.0]])
    router, draws = SampledRouter(8, 4, capacity_factor=None).train(), 100_000
    table = router.route(logits.expand(draws, -1))
    p = logits[0].softmax(0)
    share = table.demand_per_expert / draws
    deviation = (p * (1 - p) / draws).sqrt()
    assert ((share - p).abs() < 4 * deviation).all()
    assert torch.allclose(table.combine_weights, p[table.expert_index])


def test_a_sampled_expert_learns_by_its_own_probability():
    logits = torch.tensor([[0.5, 0.0, -0.5, 1.0]] * 40, dtype=torch.float64)
    logits.requires_grad_()
    table = SampledRouter(8, 4, capacity_factor=None).train().route(logits)
    (slope,) = torch.autograd.grad(table.combine_weights.sum(), logits)
    p = logits.detach().softmax(dim=1)
    chosen = torch.nn.functional.one_hot(table.expert_index, 4)
    own = p.gather(1, table.expert_index.unsqueeze(1))
    assert torch.allclose(slope, own * (chosen - p))


def test_sampling_respects_capacity_and_padding():
    mask = torch.arange(64) < 50
    table = router_of("sampled").train()(tokens(), mask)
    assert (table.tokens_per_expert <= table.capacity).all()
    assert not table.kept[~mask].any() and table.demand_per_expert.sum() == 50
    assert (table.combine_weights[~table.kept] == 0).all()


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_input_dropout_makes_holes_in_the_router_s_input_alone(rate, monkeypatch):
    """The noisy gate sees x / (1 - rate) or 0; the other numbers come from x."""
    router = InputDropoutRouter(8, 4, input_dropout=rate).train()
    seen = []
    gate = router.gate.forward
    monkeypatch.setattr(router.gate, "forward", lambda x: seen.append(x) or gate(x))
    x = tokens(5000)
    before = x.clone()
    router(x)
    assert torch.equal(x, before)
    (holes,) = [values for values in seen if not torch.equal(values, x)]
    gone = holes == 0
    assert torch.allclose(holes[~gone], (x / (1 - rate))[~gone])
    deviation = (rate * (1 - rate) / x.numel()) ** 0.5
    assert abs(gone.double().mean().item() - rate) < 4 * deviation


def test_the_ways_have_the_settings_of_the_course():
    assert router_of("jitter").jitter_noise == JITTER == 0.01
    assert router_of("input dropout").input_dropout == INPUT_DROPOUT == 0.1
    assert router_of("argmax").jitter_noise == 0


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="way='greedy': choose one of argmax, sampled"):
        exploring_router(SETUP, "greedy")
    with pytest.raises(ValueError, match="input_dropout=1: give a number from 0"):
        InputDropoutRouter(8, 4, input_dropout=1)


def test_the_steeper_the_softmax_the_fewer_are_sent_elsewhere():
    moved = [
        sent_elsewhere(router_of("sampled", spread=s), tokens(4000))
        for s in (0.1, 1, 9)
    ]
    assert 0.6 < moved[0] < 0.8  # nearly even: three of four experts are not the best
    assert moved == sorted(moved, reverse=True) and moved[2] < 0.1
    assert sent_elsewhere(router_of("argmax"), tokens()) == 0


# -- how weights start ------------------------------------------------------------


def matrices(model):
    """Those that `draw_afresh` scales, and the others."""
    scaled = {}
    for module in model.modules():
        if isinstance(module, Experts):
            scaled |= {id(w): (w, w.shape[1]) for w in module.parameters()}
        elif isinstance(module, torch.nn.Linear):
            scaled[id(module.weight)] = (module.weight, module.in_features)
    others = [w for w in model.parameters() if id(w) not in scaled]
    return list(scaled.values()), others


def test_every_matrix_starts_at_the_scale():
    models = [SETUP.but(d_model=64).build() for _ in range(2)]
    others = [w.clone() for w in matrices(models[1])[1]]
    for model, scale in zip(models, (1.0, 0.01), strict=True):
        draw_afresh(model, scale, seed=5)
    (large, _), (small, rest) = (matrices(model) for model in models)
    assert len(large) == 2 * 3 + 2 * 2 + 1 + 1  # attention, experts, router, output
    for (w, fan_in), (v, _) in zip(large, small, strict=True):
        assert torch.allclose(v, 0.1 * w, atol=1e-6)
        assert w.abs().max() <= 2 * fan_in**-0.5 + 1e-6
        assert w.std().item() == pytest.approx(0.88 * fan_in**-0.5, rel=0.15)
    assert all(torch.equal(w, v) for w, v in zip(rest, others, strict=True))


def test_drawing_afresh_leaves_torch_s_generator_alone():
    model = SETUP.build()
    torch.manual_seed(3)
    want = torch.rand(1)
    torch.manual_seed(3)
    draw_afresh(model, 0.1, seed=1)
    assert torch.equal(torch.rand(1), want)
    query = model.stack.blocks[0].attention.query.weight
    first = query.clone()
    draw_afresh(model, 0.1, seed=2)
    assert not torch.equal(query, first)
    with pytest.raises(ValueError, match="init_scale=0: give a positive number"):
        draw_afresh(model, 0)
