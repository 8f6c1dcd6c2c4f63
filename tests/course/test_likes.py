"""What experts like, and what their names tell: on text whose answer is known."""

import dataclasses
import math

import pytest
import torch

from moe_lib.course.byte_setup import Setup
from moe_lib.course.information import GIVEN, information
from moe_lib.course.likes import Lifts, isolated, likes_table, strongest
from moe_lib.course.placed import CONTEXT, place
from moe_lib.data.text import load_text
from moe_lib.models.byte_tables import NO_BYTE
from placed_bytes import placed_by

SETUPS = {
    "window": Setup(num_experts=8, d_model=16, d_ff=16, noise=False),
    "lstm": Setup(model="lstm", num_experts=8, d_model=16, d_ff=16, noise=False),
}


@pytest.fixture(scope="module")
def text():
    return load_text(max_bytes=400_000)


def placed_of(name, text, every=1):
    torch.manual_seed(0)
    return place(SETUPS[name].build(), SETUPS[name], text, every=every)


@pytest.mark.parametrize("name", SETUPS)
def test_bytes_stand_where_the_text_has_them(name, text):
    placed = placed_of(name, text)
    assert placed.context.shape == (4 * 8192, CONTEXT)
    assert placed.routing.num_tokens == 4 * 8192
    assert placed.domain.bincount().tolist() == [8192] * 4
    windows = text.heldout_windows(SETUPS["window"].span)  # 12 bytes and the next
    windows = windows.flatten(0, 1)
    assert torch.equal(placed.byte, windows[:, -2])
    assert torch.equal(placed.following, windows[:, -1])
    seen = placed.context != NO_BYTE
    assert torch.equal(placed.context[seen], windows[:, :-1][seen])
    assert seen.all() == (name == "window") and seen[11::64].all()


def test_some_windows_or_all_get_the_same_experts(text):
    every, some = placed_of("window", text), placed_of("window", text, every=4)
    assert torch.equal(some.byte, every.byte[::4])
    assert torch.equal(some.first, every.first[::4])
    assert torch.allclose(some.weights.sum(dim=1), torch.ones(len(some.byte)))
    dense = Setup(num_experts=1, d_model=16, d_ff=16)
    with pytest.raises(ValueError, match="mixture=0 but the model has 0: give it exp"):
        place(dense.build(), dense, text, every=64)


def test_lifts_are_shares_within_over_shares_of_all():
    draw = torch.Generator().manual_seed(0)
    weights = torch.rand(300, 3, generator=draw, dtype=torch.float64)
    keys = torch.randint(97, 101, (300, 2), generator=draw)
    lifts = Lifts.of(weights, keys, enough=15)
    for kind, within, overall in zip(
        lifts.kinds.tolist(), lifts.within, lifts.overall, strict=True
    ):
        here = (keys == torch.tensor(kind)).all(dim=1)
        assert here.sum() >= 15
        assert overall == pytest.approx(here.double().mean().item())
        expected = weights[here].sum(dim=0) / weights.sum(dim=0)
        assert torch.allclose(within, expected)
    counts = keys.unique(dim=0, return_counts=True)[1]
    assert len(lifts.kinds) == (counts >= 15).sum() < len(counts)


def test_the_table_finds_what_the_experts_were_given():
    placed = placed_by(lambda byte, domain: byte == ord("e"))  # B reads every "e"
    table = likes_table(placed, named=1)
    assert [row[0] for row in table.rows] == ["A", "B"]
    share = (placed.byte == ord("e")).double().mean().item()
    _, work, best, *_, where, domain = table.rows[1]
    assert (work, best) == (f"{share:.0%}", isolated(f"e\u00a0×\u00a0{1 / share:.1f}"))
    assert where.count("‹e›") == 2 and domain.endswith("%")
    assert repr(table) == "what 2 of 2 experts like"
    weights = placed.weights.double()
    assert all(e != [ord("e")] for e, _ in Lifts.of(
        weights, placed.context[:, -1:]).best(0, 100))  # fmt: skip
    assert strongest(placed.context, torch.zeros(len(placed.byte)), 3) == []


def test_an_expert_without_work_has_an_empty_row():
    table = likes_table(placed_by(lambda byte, domain: byte < 0))
    assert table.rows[1][:5] == ("B", "0%", "", "", "")


def test_the_expert_s_name_tells_what_it_was_dealt_by():
    by_byte = information(placed_by(lambda byte, domain: byte == ord("e")))
    e = (placed_by(lambda byte, domain: byte < 0).byte == ord("e")).double().mean()
    entropy = -(e * e.log2() + (1 - e) * (1 - e).log2()).item()
    assert by_byte.bits["current byte"] == pytest.approx(entropy, abs=1e-9)
    assert by_byte.bits[GIVEN[0]] == pytest.approx(0, abs=1e-9)
    by_domain = information(placed_by(lambda byte, domain: domain == 1))
    assert by_domain.bits["domain"] == pytest.approx(2 - 0.75 * math.log2(3))
    assert by_domain.bits[GIVEN[0]] > 5 * by_domain.chance[GIVEN[0]]
    for told in (by_byte, by_domain):
        for name, bits in told.bits.items():
            assert -1e-9 < bits < told.most[name] + 1e-9, name
            assert told.chance[name] < 0.15, name
    assert by_byte.byte_and_domain == by_domain.byte_and_domain > 0.3


def test_chance_is_drawn_from_its_seed():
    placed = placed_by(lambda byte, domain: byte == ord("e"))
    assert information(placed) == information(placed)
    other = information(placed, seed=1)
    assert other.chance != information(placed).chance
    assert other == dataclasses.replace(information(placed), chance=other.chance)
