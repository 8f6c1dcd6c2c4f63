"""DeepSeekMoE's order of routers beside ours, on made-up losses."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from moe_lib.course.deepseek_order import TABLE_1, order_claims, order_table
from moe_lib.course.evidence import FAILS, HOLDS, NOISE

AS_THERE = {
    "dense": [2.5, 2.51, 2.52],
    "hash": [2.4, 2.41, 2.42],
    "Switch": [2.3, 2.31, 2.32],
    "GShard": [2.2, 2.21, 2.22],
}


def test_the_paper_s_losses_fall_in_its_order():
    assert list(TABLE_1.values()) == sorted(TABLE_1.values(), reverse=True)
    assert list(TABLE_1) == ["dense", "hash", "Switch", "GShard", "DeepSeekMoE"]


def test_ranks_are_among_the_routers_of_both_sides():
    table = order_table({**AS_THERE, "expert choice": [1.0, 1.2]})
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["GShard"] == ("1.867", 1, "2.210 ± 0.010", 1)
    assert rows["dense"] == ("2.060", 4, "2.510 ± 0.010", 4)
    assert rows["DeepSeekMoE"] == ("1.808", "–", "–", "–")
    assert rows["expert choice"] == ("–", "–", "1.100 ± 0.141", "–")
    assert repr(table) == "table 1 of DeepSeekMoE beside our race"
    assert "2.510\u00a0±\u00a00.010" in table._repr_html_()


@given(st.permutations(["dense", "hash", "Switch", "GShard"]))
def test_our_ranks_follow_our_losses(order):
    """The router drawn first has the lowest loss."""
    here = {name: torch.tensor([k + 1.0, k + 1.1]) for k, name in enumerate(order)}
    rows = {row[0]: row for row in order_table(here).rows}
    assert [rows[name][4] for name in order] == [1, 2, 3, 4]
    there = {name: rows[name][2] for name in order}
    assert there == {"GShard": 1, "Switch": 2, "hash": 3, "dense": 4}


def test_each_pair_of_neighbours_is_judged():
    claims = order_claims(AS_THERE, "stored")
    ids = ["M6.order-hash", "M6.order-switch", "M6.order-gshard"]
    assert [claim.id for claim in claims] == ids
    assert [claim.verdict for claim in claims] == [HOLDS] * 3
    assert claims[1].paper == "1.881 against 1.932"
    assert {claim.origin for claim in claims} == {"stored"}


def test_a_hash_that_wins_and_a_tie_are_said():
    here = AS_THERE | {"hash": [2.0, 2.01, 2.02], "GShard": [2.29, 2.31, 2.33]}
    verdicts = [claim.verdict for claim in order_claims(here)]
    assert verdicts == [HOLDS, FAILS, NOISE]


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match="here has dense, and not 'hash': race it"):
        order_claims({"dense": [1.0, 2.0]})
    with pytest.raises(ValueError, match="no router, and not 'hash'"):
        order_claims({})
    with pytest.raises(ValueError, match="dense has 1 finite values of 2"):
        order_table({"dense": [1.0, float("nan")]})
    with pytest.raises(ValueError, match=r"M6.order-hash: .*run more seeds"):
        order_claims({name: [1.0] for name in AS_THERE})
