"""The bill of top-2 and top-1 against plain loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lib.course.one_or_two import bill, route_both
from moe_lib.routers import SwitchRouter


def by_loops(logits, factor, top_k):
    """places, alone, late, rows: a queue for each expert, first choices first."""
    tokens, experts = logits.shape
    places = math.ceil(factor * tokens / experts)
    asked = [0] * experts
    served = [0] * tokens
    for choice in range(top_k):
        for t, row in enumerate(logits.tolist()):
            expert = sorted(range(experts), key=lambda e, row=row: -row[e])[choice]
            served[t] += asked[expert] < places
            asked[expert] += 1
    rows = sum(served)
    return places, served.count(0), top_k * tokens - rows, rows


@settings(max_examples=40, deadline=None)
@given(
    tokens=st.integers(1, 40),
    experts=st.sampled_from([2, 4, 8]),
    quarters=st.integers(1, 10),
    seed=st.integers(0, 99),
)
def test_the_bill_is_what_loops_count(tokens, experts, quarters, seed):
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(tokens, experts, generator=draw).mul(4).round()  # with ties
    tables = route_both(logits, quarters / 4)
    assert list(tables) == ["top-2", "top-1"]
    for top_k, table in zip((2, 1), tables.values(), strict=True):
        cost = bill(table)
        places, alone, late, rows = by_loops(logits, quarters / 4, top_k)
        assert (cost.tokens, cost.num_experts, cost.top_k) == (tokens, experts, top_k)
        assert (cost.places, cost.alone, cost.late, cost.rows) == (
            places, alone, late, rows,
        )  # fmt: skip
        assert cost.choices == top_k * tokens == cost.late + cost.rows
        assert cost.arithmetic == pytest.approx(rows / tokens)
        assert cost.padded == pytest.approx(experts * places / tokens)
        assert cost.travelling == 2 * rows
        assert cost.payload(16) == 2 * rows * 16 * 2
        assert cost.payload(16, torch.float32) == 2 * cost.payload(16)


def test_a_table_without_capacity_has_no_bill():
    table = SwitchRouter(1, 2, capacity_factor=None).route(torch.zeros(3, 2))
    with pytest.raises(ValueError, match="capacity is None: give the router a"):
        bill(table)
