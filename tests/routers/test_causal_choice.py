"""The repairs of expert choice, and what they promise."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import router_kinds as kinds
from moe_lib import MoE
from moe_lib.dispatch import BACKENDS
from moe_lib.experts import Experts
from moe_lib.routers import (
    ExpertChoiceRouter,
    PredictedChoice,
    SamePositionChoice,
    ThresholdChoice,
)
from moe_lib.routers.predicted_choice import prediction_loss, taken_by

EXPERTS, TOKENS = 4, 18
EVERY = pytest.mark.parametrize("kind", kinds.REPAIRS)
MODES = pytest.mark.parametrize("training", [False, True])


@EVERY
@MODES
def test_every_backend_gives_what_the_loop_gives(kind, training):
    x, _ = kinds.tokens(TOKENS)
    mask = torch.arange(TOKENS) % 7 != 3
    router = kinds.make(kind, EXPERTS).double().train(training)
    experts = Experts(EXPERTS, kinds.D_MODEL, 16).double()
    found = {}
    for backend in set(BACKENDS) - {"grouped"}:  # which has no float64
        layer = MoE(copy.deepcopy(router), experts, backend=backend)
        found[backend] = layer(x.double(), mask)[0]
    for y in found.values():
        assert torch.allclose(y, found["loop"], atol=1e-12)
        assert y[~mask].eq(0).all()


@EVERY
@MODES
def test_padding_changes_nothing_for_the_others(kind, training):
    router = kinds.make(kind, EXPERTS).train(training)
    x, _ = kinds.tokens(TOKENS)
    real = torch.arange(TOKENS) % 4 != 1
    other = torch.where(real[:, None], x, 50.0)
    one = copy.deepcopy(router)(x, real)
    two = copy.deepcopy(router)(other, real)
    assert kinds.rows_of(one, real) == kinds.rows_of(two, real)
    assert not one.kept[~one.real_rows].any()
    assert one.combine_weights[~one.kept].eq(0).all()


@EVERY
@MODES
def test_an_empty_batch_is_an_empty_table(kind, training):
    routing = kinds.make(kind, EXPERTS).train(training)(torch.zeros(0, kinds.D_MODEL))
    assert routing.dense().shape == (0, EXPERTS)
    assert len(routing.token_index) == 0


@EVERY
def test_weights_are_the_scores_and_carry_a_gradient(kind):
    router = kinds.make(kind, EXPERTS)
    routing = router(kinds.tokens(TOKENS)[0])
    dense, taken = routing.dense(), taken_by(routing)
    assert torch.equal(dense, routing.router_probs.where(taken, 0.0))
    dense.square().sum().backward()
    assert router.gate.weight.grad.abs().sum() > 0


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 5), st.integers(0, 999))
def test_same_position_is_expert_choice_at_each_position(texts, length, experts, seed):
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(texts, length, experts, generator=draw)
    router = SamePositionChoice(2, experts, length=length, capacity_factor=1.5)
    whole = taken_by(router.route(logits.flatten(0, 1))).view(logits.shape)
    column = ExpertChoiceRouter(2, experts, capacity_factor=1.5)
    for position in range(length):
        alone = taken_by(column.route(logits[:, position]))
        assert torch.equal(whole[:, position], alone)


def test_a_text_alone_is_taken_by_all():
    router = SamePositionChoice(2, 4, length=5, capacity_factor=1.0)
    assert taken_by(router.route(torch.randn(5, 4))).all()


def test_the_length_may_change_and_must_fit():
    router = SamePositionChoice(2, 4, length=5)
    with pytest.raises(ValueError, match="6 tokens are no texts of length=5: set"):
        router.route(torch.zeros(6, 4))
    router.length = 3
    assert router.route(torch.zeros(6, 4)).kept.all()


def test_thresholds_come_to_take_the_right_share():
    torch.manual_seed(0)
    router = ThresholdChoice(8, 4, capacity_factor=1.0)
    for _ in range(60):
        router(torch.randn(400, 8))
    held = router.eval()(torch.randn(4000, 8))
    assert (held.tokens_per_expert / 4000 - 0.25).abs().max() < 0.04


def test_thresholds_move_after_the_choice_in_training_only_and_are_saved():
    router = ThresholdChoice(8, 4)
    x, before = kinds.tokens(TOKENS)[0], router.threshold.clone()
    chosen = taken_by(router(x))
    assert torch.equal(chosen, router.gate(x).softmax(dim=1) >= before)
    moved = router.state_dict()["threshold"].clone()
    assert not torch.equal(moved, before)
    router.eval()(x)
    assert torch.equal(router.threshold, moved)


def test_a_predictor_learns_expert_choice_and_nothing_else_learns_from_it():
    torch.manual_seed(0)
    router = PredictedChoice(8, 4, capacity_factor=1.0)
    optimizer = torch.optim.Adam(router.predictor.parameters(), lr=0.02)
    losses = []
    for _ in range(80):
        loss = prediction_loss(router(torch.randn(128, 8)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert router.gate.weight.grad is None
    assert losses[-1] < 0.5 * losses[0]
    x = torch.randn(256, 8)
    truth, told = taken_by(router(x)), taken_by(router.eval()(x))
    assert (truth == told).float().mean() > 0.85  # 0.75 by chance


def test_prediction_loss_leaves_padding_out():
    router = PredictedChoice(8, 4)
    x, real = kinds.tokens(TOKENS)[0], torch.arange(TOKENS) < 9
    changed = torch.where(real[:, None], x, 30.0)
    assert prediction_loss(router(x, real)) == prediction_loss(router(changed, real))
    assert prediction_loss(router(x[:0])) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SamePositionChoice(2, 4, length=0), "length=0: give a whole"),
        (
            lambda: SamePositionChoice(2, 4, length=2, capacity_factor=0),
            "capacity_factor=0: give a finite",
        ),
        (lambda: ThresholdChoice(2, 4, momentum=1.0), "momentum=1.0: give a number"),
        (lambda: ThresholdChoice(2, 4, capacity_factor=-1), "capacity_factor=-1: give"),
        (lambda: PredictedChoice(2, 0), "num_experts=0: give a whole"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
