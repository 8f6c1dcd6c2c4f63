"""Two routers beside each other: the scene shows what the readings say."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lib.course.compare_routers import Reading
from moe_lib.figures.compare_scene import MOST, compare_scene
from moe_lib.notation import letter
from moe_lib.widgets import Player, check, compact

SENTENCE = "for x in names: print('Bücher', x)  # and all the rest of it"


def reading(size, num_experts, counts, refused=0, seed=0):
    """``counts[n]`` experts serve byte n."""
    draw = torch.Generator().manual_seed(seed)
    experts, late = [], []
    for n in range(size):
        order = torch.randperm(num_experts, generator=draw).tolist()
        count = counts[n % len(counts)]
        experts.append([(e, 1 / (k + 1)) for k, e in enumerate(order[:count])])
        late.append(order[count : count + refused])
    bits = torch.rand(size, generator=draw) * 8
    bits[0] = float("nan")
    return Reading(num_experts, experts, late, bits)


def race(sentence=SENTENCE):
    size = len(sentence.encode())
    return {
        "dense": reading(size, 0, [0]),
        "dense gate": reading(size, 16, [16]),
        "Switch": reading(size, 16, [1, 0], refused=1),
        "GShard": reading(size, 32, [2]),
        "expert choice": reading(size, 32, [0, 1, 5, 2]),
    }


def layers(scene, i, j, panel):
    """What state (left i, right j) shows in a panel."""
    (number, *_) = scene["states"][-1 - j][i]["panels"][panel]
    return scene["shared"][number]


def letters_of(shown):
    return [one["text"] for one in shown if one["type"] == "text"]


def test_every_pair_is_there_and_each_router_is_stored_once():
    readings = race()
    scene = check(compare_scene(SENTENCE, readings))
    names = list(readings)
    assert scene["slider"]["values"] == names == scene["variants"]["names"][::-1]
    assert len(scene["shared"]) == 3 * len(names)
    for i, left in enumerate(names):
        for j, right in enumerate(names):
            state = scene["states"][-1 - j][i]
            assert f"Left, {left}: " in state["caption"]
            assert f"Right, {right}: " in state["caption"]
            means = [f"{readings[name].bits.nanmean():.2f}" for name in (left, right)]
            assert [number for _, number in state["readout"]] == means
            assert layers(scene, i, j, 0) is scene["shared"][i]
            assert layers(scene, i, j, 1) is scene["shared"][j]
    assert len(json.dumps(compact(scene), indent=1)) < 300_000
    assert repr(Player(scene)) == (
        "Player('What do two routers make of one sentence?', 5 x 5 states)"
    )


@settings(max_examples=15, deadline=None)
@given(
    size=st.integers(2, 64),
    experts=st.sampled_from([4, 16, 32]),
    counts=st.lists(st.integers(0, MOST - 1), min_size=1, max_size=5),
    late=st.integers(0, 1),
)
def test_letters_strikes_and_hollow_marks_are_the_reading_s(
    size, experts, counts, late
):
    one = reading(size, experts, counts, late)
    scene = check(compare_scene("x" * size, {"it": one}))
    shown = layers(scene, 0, 0, 0)
    expected = [letter(e) for served in one.experts for e, _ in served]
    under_load = [letter(e) for e in range(0, experts, max(1, experts // 8))]
    assert letters_of(shown) == [*expected, *under_load]
    struck = [one for one in shown if one.get("color") == "accent"]
    assert len(struck) == len(one.unserved)
    hollow = sum(len(p["x"]) for p in shown if p["type"] == "points")
    assert hollow == sum(map(len, one.refused))
    assert sum(p["type"] == "band" for p in shown) == experts


def test_more_experts_than_fit_are_a_plus_and_the_gate_shows_its_heaviest():
    readings = race()
    scene = compare_scene(SENTENCE, readings)
    names, size = list(readings), len(SENTENCE.encode())
    gate = letters_of(layers(scene, names.index("dense gate"), 0, 0))
    heaviest = [letter(served[0][0]) for served in readings["dense gate"].experts]
    assert gate[:size] == heaviest
    many = letters_of(layers(scene, names.index("expert choice"), 0, 0))
    fives = sum(len(served) == 5 for served in readings["expert choice"].experts)
    assert fives and many.count("+") == fives
    assert "no experts" in letters_of(layers(scene, 0, 0, 0))[0]


def test_bits_are_solid_on_the_left_and_dashed_on_the_right():
    readings = race()
    scene = compare_scene(SENTENCE, readings, left="Switch")
    assert scene["slider"]["values"][scene["start"]] == "Switch"
    left, right = scene["states"][0][2]["panels"][2]
    (solid,), (dashed,) = scene["shared"][left], scene["shared"][right]
    assert not solid["dash"] and dashed["dash"]
    told = readings["Switch"].bits[1:]
    assert solid["y"] == pytest.approx(told.tolist()) and solid["x"][0] == 2
    assert dashed["y"] == pytest.approx(readings["expert choice"].bits[1:].tolist())


def test_an_unknown_name_and_another_sentence_are_told():
    with pytest.raises(ValueError, match="left='top-9': choose one of dense"):
        compare_scene(SENTENCE, race(), left="top-9")
    with pytest.raises(ValueError, match="has 2 bytes, others were read: give the one"):
        compare_scene("ab", race())
