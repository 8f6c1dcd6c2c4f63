"""Who holds what on n x m cores, and what travels: against a layer in pieces."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lib.course import claims_04_parallel as claims
from moe_lib.course.evidence import CITED, EXACT
from moe_lib.course.who_holds_what import Layout, layouts_table, megabytes
from moe_lib.course.wire import Wire


@st.composite
def layouts(draw):
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    fitting = [n for n in range(1, 13) if n % rows == 0 or rows % n == 0]
    return Layout(
        rows, columns, draw(st.sampled_from(fitting)),
        tokens=rows * draw(st.integers(1, 5)),
        d_model=draw(st.integers(1, 4)),
        d_ff=columns * draw(st.integers(1, 3)),
        capacity_factor=draw(st.sampled_from([0.5, 1.0, 1.25, 2.0])),
        width=draw(st.sampled_from([2, 4])),
    )  # fmt: skip


def cores(layout):
    return [(i, j) for i in range(layout.rows) for j in range(layout.columns)]


@given(layouts())
def test_every_weight_and_token_is_held_as_often_as_stated(layout):
    units, tokens = Counter(), Counter()
    for core in cores(layout):
        share = layout.share(*core)
        units.update((e, u) for e in share.experts for u in share.units)
        tokens.update(share.tokens)
        own = len(share.experts) * len(share.units) * 2 * layout.d_model
        assert own == layout.weights_of_a_core
        assert (own + layout.router_weights) * layout.width == layout.held_bytes
    every = {(e, u) for e in range(layout.num_experts) for u in range(layout.d_ff)}
    assert units == dict.fromkeys(every, layout.copies)
    assert tokens == dict.fromkeys(range(layout.tokens), layout.columns)
    total = layout.weights_of_a_core * layout.cores
    assert total == layout.copies * layout.weights


@given(layouts())
def test_a_token_finds_its_expert_at_home_in_its_own_group(layout):
    for row in range(layout.rows):
        for expert in range(layout.num_experts):
            home = layout.home(expert, row)
            assert expert in layout.share(home, 0).experts
            assert home // layout.group == row // layout.group


@settings(max_examples=12, deadline=None)
@given(layouts(), st.integers(0, 99))
def test_a_layer_in_pieces_computes_and_sends_what_is_said(layout, seed):
    off, wrong = claims.in_pieces(layout, seed)
    assert off < 1e-12 and wrong == 0


@pytest.mark.parametrize("count, size", [(1, 5), (2, 1), (3, 7), (4, 8)])
def test_an_all_reduce_tells_every_core_the_sum(count, size):
    wire, ring = Wire(), [(0, j) for j in range(count)]
    parts = torch.randn(count, size, dtype=torch.float64).unbind()
    for told in wire.all_reduce("sum")(ring, parts):
        assert torch.allclose(told, sum(parts), rtol=1e-12)
    assert wire.total("sum") == 2 * (count - 1) * size
    assert wire.total("nothing") == 0


def test_an_all_to_all_sends_all_but_what_stays():
    wire, ring = Wire(), [(i, 0) for i in range(3)]
    parts = torch.arange(18).view(3, 3, 2)
    got = torch.stack(wire.all_to_all("rows")(ring, parts.unbind()))
    assert torch.equal(got, parts.transpose(0, 1))
    assert wire.sent["rows"] == dict.fromkeys(ring, 4)


def test_the_paper_s_formulas_by_hand():
    dense, cut = Layout(8, 1, 1), Layout(1, 8, 1)
    weights = 2 * 768 * 3072
    assert dense.sent == {
        "tokens": 0, "partial sums": 0, "gradients": 2 * 7 / 8 * weights
    }  # fmt: skip
    assert cut.sent == {
        "tokens": 0, "partial sums": 2 * 2 * 7 / 8 * 8192 * 768, "gradients": 0
    }  # fmt: skip
    experts = Layout(8, 1, 8)
    assert experts.sent["tokens"] == 4 * 7 / 8 * 8 * experts.capacity * 768
    assert experts.sent["gradients"] == 2 * 7 / 8 * 768 * 8  # the router's
    assert experts.held_bytes - dense.held_bytes == 4 * experts.router_weights


@pytest.mark.parametrize(
    "layout, name",
    [
        ((1, 1, 4), "one core"), ((8, 1, 1), "data"), ((1, 8, 1), "model"),
        ((1, 8, 4), "model"), ((4, 2, 1), "model + data"),
        ((8, 1, 8), "expert + data"), ((4, 2, 8), "expert + model + data"),
    ],
)  # fmt: skip
def test_strategies_have_the_paper_s_names(layout, name):
    assert Layout(*layout).strategy == name


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(num_experts=6), "num_experts=6 but rows=4: give a multiple of 4 experts"),
        (dict(tokens=10), "tokens=10 but rows=4: give a multiple of 4"),
        (dict(d_ff=9), "d_ff=9 but columns=2: give a multiple of 2"),
        (dict(columns=0), "columns=0: give a whole number of at least 1"),
        (dict(capacity_factor=-1.0), "capacity_factor=-1.0: give"),
    ],
)
def test_what_does_not_divide_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        _ = Layout(**dict(rows=4, columns=2, num_experts=8) | wrong).capacity


def test_the_table_has_a_row_for_each():
    table = layouts_table([Layout(8, 1, 1), Layout(8, 1, 8)])
    assert [row[0] for row in table.rows] == ["data", "expert + data"]
    assert len({len(row) for row in table.rows} | {len(table.head)}) == 1
    assert [megabytes(v) for v in (0, 33.03e6, 1234.5e6)] == ["0.0", "33.0", "1,234"]


def test_the_claims_hold_and_would_not_of_a_wrong_formula(monkeypatch):
    few = [Layout(2, 2, 4, 8, 4, 4), Layout(2, 1, 1, 4, 3, 2)]
    monkeypatch.setattr(claims, "layouts", lambda: few)
    told = claims.parallel_claims()
    assert [claim.verdict for claim in told] == [EXACT, EXACT, EXACT, CITED]
    monkeypatch.setattr(claims, "JOURNEYS", {"tokens": 4})
    monkeypatch.setattr(Layout, "buffer", 1)
    monkeypatch.setattr(Layout, "weights_of_a_core", property(lambda self: self.rows))
    assert claims.held_off()[0] > 0 and claims.in_pieces(few[0])[1] == 1
