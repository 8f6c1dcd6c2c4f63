"""One text through all trained models: what the readings say is what was routed."""

import pytest
import torch

from moe_lib.course.compare_routers import (
    PLACE,
    read_with,
    room_of_training,
)
from moe_lib.course.race_runs import TEXTS, run_race
from moe_lib.course.race_setup import Setup, field
from moe_lib.data.text import load_text
from moe_lib.layer import MoE

SMALL = {"d_model": 16, "d_ff": 64, "num_heads": 2, "num_experts": 4, "tokens": 256}
SENTENCE = "for word in words: # die alten Bücher"


@pytest.fixture(scope="module")
def text():
    return load_text(200_000)


@pytest.fixture(scope="module", params=[False, True], ids=["causal", "masked"])
def runs(request, text):
    base = Setup(masked=request.param, steps=4, capacity_factor=0.5, **SMALL)
    return run_race(field(base), text, 0)


def test_every_router_s_reading_is_its_table(runs, text):
    tables = {}
    for name, run in runs.items():
        layer = next((m for m in run.model.modules() if isinstance(m, MoE)), None)
        if layer is not None:
            layer.router.register_forward_hook(
                lambda module, args, out, name=name: tables.setdefault(name, out)
            )
    readings = read_with(runs, SENTENCE, text)
    size = len(SENTENCE.encode())
    assert list(readings) == list(runs)
    for name, reading in readings.items():
        assert len(reading.experts) == len(reading.refused) == len(reading.bits) == size
        if name == "dense":
            assert reading.num_experts == 0 and not any(reading.experts)
            assert reading.load == [] and reading.unserved == []
            continue
        weights = tables[name].dense().view(TEXTS, -1, reading.num_experts)[PLACE]
        for byte, served in enumerate(reading.experts):
            for expert, weight in served:
                assert weights[byte, expert].item() == pytest.approx(weight)
            assert sum(w for _, w in served) == pytest.approx(
                weights[byte].sum().item(), abs=1e-5
            )
            assert [w for _, w in served] == sorted((w for _, w in served))[::-1]
        assert reading.everybody == (name == "dense gate")
        one_each = size if reading.everybody else sum(map(len, reading.experts))
        assert sum(reading.load) == pytest.approx(one_each)


def test_each_choice_is_served_or_refused(runs, text):
    readings = read_with(runs, SENTENCE, text)
    choices = {"noisy top-2": 2, "GShard": 2, "Switch": 1, "hash": 1,
               "Mixtral top-2": 2}  # fmt: skip
    for name, k in choices.items():
        one = readings[name]
        for served, late in zip(one.experts, one.refused, strict=True):
            assert len(served) + len(late) == k
    assert any(readings["Switch"].refused) and readings["Switch"].unserved
    assert not any(readings["hash"].refused)


def test_a_decoder_does_not_tell_its_first_byte(runs, text):
    for name, reading in read_with(runs, SENTENCE, text).items():
        untold = [] if runs[name].setup.masked else [0]
        assert reading.bits.isnan().nonzero().flatten().tolist() == untold
        assert 1 < reading.bits.nanmean() < 10


def test_the_room_is_training_s_inside_only(runs):
    router = next(
        m for m in runs["Switch"].model.modules() if isinstance(m, MoE)
    ).router
    before = router.slots.capacity(256, 4, 1, training=False)
    with room_of_training(runs["Switch"].model):
        inside = router.slots.capacity(256, 4, 1, training=False)
    assert inside == router.slots.capacity(256, 4, 1, training=True) < before
    assert router.slots.capacity(256, 4, 1, training=False) == before == 256


def test_too_short_a_sentence_is_told(runs, text):
    with pytest.raises(ValueError, match="sentence='a': give one of 2 bytes or more"):
        read_with(runs, "a", text)
    assert torch.is_tensor(read_with(runs, "ab", text)["hash"].bits)
