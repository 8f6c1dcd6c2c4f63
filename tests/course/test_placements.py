"""Exercise 03b.2: all placements, what crosses, and what the verdict says."""

import json
import math

import pytest
import torch

from moe_lib.course.checking import FAILS, NOT_WRITTEN, PASSES
from moe_lib.course.exercises import tasks
from moe_lib.course.mistakes_03b import MISTAKES, best_pair_first, in_order
from moe_lib.course.placement_contest import SEEDS, placement_fault, score_placement
from moe_lib.course.placements import (
    all_crossings,
    cases,
    crossings,
    placements,
    routed_together,
    used_together,
)
from moe_lib.routers import GShardRouter, TopKRouter


def best(together, devices):
    crossing = all_crossings(together, devices)
    return placements(len(together), devices)[crossing.argmin()]


def swapped(together, devices):
    """Swap two experts as long as that helps: what a good answer may do."""
    device = best_pair_first(together, devices)
    while True:
        tried = []
        for a in range(len(device)):
            for b in range(a):
                other = device.clone()
                other[a], other[b] = device[b], device[a]
                tried.append((crossings(together, other), a, b, other))
        least = min(tried, key=lambda t: t[0])
        if least[0] >= crossings(together, device):
            return device
        device = least[3]


@pytest.mark.parametrize("experts, devices", [(2, 1), (4, 2), (6, 3), (8, 2), (8, 4)])
def test_every_placement_is_there_once(experts, devices):
    found = placements(experts, devices)
    each = experts // devices
    number = math.factorial(experts) // math.factorial(each) ** devices
    assert len(found) == number // math.factorial(devices)
    as_sets = {
        frozenset(
            frozenset((row == d).nonzero().flatten().tolist()) for d in range(devices)
        )
        for row in found
    }
    assert len(as_sets) == len(found)
    assert all((found == d).sum(dim=1).eq(each).all() for d in range(devices))


def test_what_crosses_is_what_the_tokens_say():
    torch.manual_seed(0)
    router = TopKRouter(8, 6, top_k=2)
    x = torch.randn(200, 8)
    chosen = router.gate(x).topk(2).indices  # [T, 2]
    together = used_together(router(x))
    assert together.equal(together.T) and together.sum() == 2 * 200
    for device in placements(6, 3):
        homes = device[chosen]
        visits = (homes[:, 0] != homes[:, 1]).sum().item()
        assert crossings(together, device) == visits
    every = all_crossings(together, 3)
    assert every.tolist() == [crossings(together, d) for d in placements(6, 3)]


def test_only_experts_that_served_count():
    torch.manual_seed(0)
    router = GShardRouter(8, 6, capacity_factor=0.5).train()
    routing = router(torch.randn(100, 8))
    both = (routing.dense() != 0).sum(dim=1) == 2
    assert 0 < both.sum() < 100
    assert used_together(routing).sum() == 2 * both.sum()


def test_the_hidden_cases_are_hard_enough():
    drawn = cases(SEEDS)
    assert {(len(together), devices) for together, devices in drawn} == {(8, 2), (8, 4)}
    for together, devices in drawn:
        every = all_crossings(together, devices)
        assert every.min() < 0.8 * every.double().mean()
    assert not drawn[0][0].equal(routed_together(8, seed=1))


def test_the_best_and_a_search_pass_and_are_recorded(progress_path):
    score = score_placement(best)
    assert score.verdict.state == PASSES and "100% of what" in repr(score)
    assert all(placed.score == 1 for placed in score.placed)
    assert "<table>" in score._repr_html_()
    assert "03b.2" in json.dumps(json.loads(progress_path.read_text()))
    assert score_placement(swapped).verdict.passed
    assert "03b.2" in [task.id for task in tasks("03b")]


@pytest.mark.parametrize("words", MISTAKES)
def test_each_mistake_is_known_by_its_name(words):
    verdict = score_placement(MISTAKES[words]).verdict
    assert (verdict.state, verdict.likely) == (FAILS, words)


def test_an_unknown_mistake_is_scored_without_a_reason():
    def odd(together, devices):
        return in_order(together, devices)[torch.tensor([0, 2, 1, 4, 3, 6, 5, 7])]

    verdict = score_placement(odd).verdict
    assert verdict.state == FAILS and verdict.likely == ""


def test_the_stub_is_not_written_yet(progress_path):
    def stub(together, devices):
        raise NotImplementedError

    score = score_placement(stub)
    assert score.verdict.state == NOT_WRITTEN and not progress_path.exists()
    assert score._repr_html_().count("<table>") == 0
    assert repr(score) == repr(score.verdict)


@pytest.mark.parametrize(
    "device, message",
    [
        ([0, 0, 0, 1], "the devices hold 3, 1 experts: give each 2, or one runs out"),
        ([0, 0, 1, 2], "it names a device that is not there: give 0 to 1"),
        ([0, 1], "of shape [2]: give the number of a device for each of 4 experts"),
        ([0.0, 0, 1, 1], "it answers torch.float32 of shape [4]: give the number"),
        ("AABB", "it answers a str: give a whole number an expert"),
        (None, "it answers a NoneType: give a whole number an expert"),
        ([1, 0, 1, 0], ""),
    ],
)
def test_what_is_no_placement_is_refused(device, message):
    found = placement_fault(device, 4, 2)
    assert message in found and bool(found) == bool(message)


def test_answers_that_cannot_be_scored_say_why():
    def three(together):
        return together

    def failing(together, devices):
        return together @ torch.ones(3)

    def crowded(together, devices):
        return torch.zeros(len(together), dtype=torch.int64)

    for answer, words in (
        (three, "it is called with (together, devices)"),
        (failing, "it raises RuntimeError"),
        (crowded, "refused: the devices hold 8, 0 experts"),
    ):
        verdict = score_placement(answer).verdict
        assert verdict.state == FAILS and words in verdict.message
    assert score_placement(failing).verdict.line


def test_unequal_numbers_are_refused():
    with pytest.raises(ValueError, match="num_experts=6 on 4 devices: give a multiple"):
        placements(6, 4)
