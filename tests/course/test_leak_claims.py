"""The leak's exercise, runs and claims, small."""

import pytest
import torch
from torch import nn

import router_kinds as kinds
from moe_lib.course.claims_05b_leak import exact_leak_claims, leak_claims
from moe_lib.course.exercises_05b import leaks
from moe_lib.course.leak import model_leak, replaced, router_leak
from moe_lib.course.leak_runs import (
    OfThisLength,
    step_by_step_bits,
    teacher_forced_bits,
)
from moe_lib.course.leak_setup import Setup, ways_to_choose
from moe_lib.data.text import load_text

SMALL = Setup(num_experts=2, d_model=16, d_ff=16, num_heads=2)


def model_of(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = ways_to_choose(SMALL)[name].build()
    for module in model.modules():
        if hasattr(module, "gate") and hasattr(module, "num_experts"):
            nn.init.normal_(module.gate.weight)
    return OfThisLength(model)


@pytest.mark.parametrize("name", list(ways_to_choose(SMALL)))
def test_a_model_leaks_if_its_router_does(name):
    model = model_of(name)
    text, other = torch.randint(256, (2, 20), generator=torch.manual_seed(1))
    moved = model_leak(model, text, other, 12)
    assert (moved.max() > 0) == name.startswith("expert choice")


def test_weights_move_if_the_router_looks_ahead():
    x, other = kinds.tokens(18)[0], kinds.tokens(18, 5)[0]
    for kind, ahead in (("expert_choice", True), ("top_k", False)):
        weights = router_leak(kinds.make(kind, 4), x, other, 9)
        assert (weights > 0).any() == ahead


@pytest.mark.parametrize("name", ["Mixtral top-2", "threshold", "predictor"])
def test_what_does_not_leak_writes_as_it_reads(name):
    text, model = load_text(), model_of(name)
    for how in ({"texts": 2}, {"texts": 1, "side_by_side": 1}):
        read = teacher_forced_bits(model, text, **how)
        assert abs(step_by_step_bits(model, text, **how) - read) < 1e-6


def test_same_position_writes_as_it_reads_side_by_side():
    text, model = load_text(), model_of("same position")
    read = teacher_forced_bits(model, text, texts=4, side_by_side=4)
    written = step_by_step_bits(model, text, texts=4, side_by_side=4)
    assert abs(written - read) < 1e-6


def test_the_exercise_finds_what_router_leak_finds():
    x, other = kinds.tokens(9)[0], kinds.tokens(9, 5)[0]
    router = kinds.make("expert_choice", 3).eval()
    with torch.no_grad():
        found = leaks(lambda z: router(z).dense(), x, other)
    want = [router_leak(router, x, other, t + 1)[t] > 0 for t in range(8)]
    assert found.tolist() == [*map(bool, want), False]


def test_a_start_must_leave_something_on_both_sides():
    for start in (0, 4, 5):
        with pytest.raises(ValueError, match=f"start={start}"):
            replaced(torch.zeros(4, 2), torch.ones(4, 2), start)


def test_exact_claims_hold():
    assert [claim.verdict for claim in exact_leak_claims(3)] == ["exact", "exact"]


def columns(lost: float) -> dict[str, torch.Tensor]:
    found = {}
    for arm in ways_to_choose(SMALL):
        own = lost if arm.startswith("expert choice") else 0.0
        for where in ("", " alone"):
            found[f"{arm}: read{where}"] = torch.tensor([3.0, 3.01, 3.02]).double()
            found[f"{arm}: written{where}"] = found[f"{arm}: read{where}"] + own
    share = torch.tensor([0.98, 0.981, 0.979]).double()
    return found | {"predictor: accuracy": share, "predictor: always no": share - 0.05}


def test_trained_claims_follow_the_columns():
    for lost, verdict in ((0.2, "holds"), (-0.2, "does not hold here")):
        claims = {claim.id: claim.verdict for claim in leak_claims(columns(lost))}
        assert claims["M5.gap"] == claims["M5.gap-alone"] == verdict
        assert claims["M5.no-gap"] == claims["M5.no-gap-position"] == "exact"
        assert claims["M5.written-threshold"] == claims["M5.predictor"] == "holds"
