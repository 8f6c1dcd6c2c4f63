"""The scene of cores: every core, weight and journey that the layout has."""

import pytest

from moe_lib.course.who_holds_what import Layout
from moe_lib.figures.who_holds_what_scene import expert_of, who_holds_what_scene
from moe_lib.widgets import check


@pytest.mark.parametrize("cores", [2, 4, 8])
def test_every_state_draws_its_layout(cores):
    scene = check(who_holds_what_scene(cores))
    experts = [int(name) for name in scene["variants"]["names"]]
    cuts = [tuple(map(int, text.split(" × "))) for text in scene["slider"]["values"]]
    assert all(n * m == cores for n, m in cuts)
    for count, states in zip(experts, scene["states"], strict=True):
        for (n, m), state in zip(cuts, states, strict=True):
            layout = Layout(n, m, count)
            (layers,) = state["panels"]
            bars = [layer for layer in layers if layer["type"] == "band"]
            assert len(bars) == max(count, n) * m
            letters = [layer["label"] for layer in layers if "label" in layer]
            assert len(letters) == max(count, n) and len(set(letters)) == count
            boxes = [layer for layer in layers if len(layer["x"]) == 5
                     and layer["type"] == "line"]  # fmt: skip
            assert len(boxes) == cores
            dashed = [layer for layer in layers if layer.get("dash")]
            assert len(dashed) == (count if layout.copies > 1 else 0)
            (discs,) = [layer for layer in layers if layer.get("size") == 4]
            away = sum(
                layout.home(expert_of(token, count), token * n // cores)
                != token * n // cores
                for token in range(cores)
            )
            assert discs["hollow"].count(False) == cores * m
            assert discs["hollow"].count(True) == away * m
            (sums,) = [layer for layer in layers if layer.get("shape") == "triangle"]
            assert len(sums["x"]) == max(count, n) * (m - 1)
            assert dict(state["readout"])["a core holds"].endswith(" MB")
            travels = dict(state["readout"])["leaves a core in a step: tokens"]
            assert (travels != "0.0 MB") == (layout.group > 1)


def test_tokens_are_dealt_out_evenly():
    for count in (1, 2, 4, 8):
        assert sorted(expert_of(t, count) for t in range(count)) == list(range(count))


def test_other_numbers_of_cores_are_refused():
    with pytest.raises(ValueError, match="cores=16: give 2, 4 or 8"):
        who_holds_what_scene(16)
    with pytest.raises(ValueError, match="tokens=100 but rows=8"):
        who_holds_what_scene(tokens=100)
