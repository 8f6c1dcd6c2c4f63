"""The bar between token choice and expert choice: its ends are the two routers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lib.course.one_bar import one_bar
from moe_lib.routers import ExpertChoiceRouter, TopKRouter


@st.composite
def tables(draw):
    tokens, experts = draw(st.integers(1, 20)), draw(st.integers(1, 8))
    top_k = draw(st.integers(1, experts))
    torch.manual_seed(draw(st.integers(0, 999)))
    coarse = draw(st.sampled_from([1, 2, 1000]))  # few different values: ties
    return torch.randint(-3 * coarse, 3 * coarse, (tokens, experts)) / coarse, top_k


@settings(max_examples=200, deadline=None)
@given(tables())
def test_the_ends_are_top_k_and_expert_choice(case):
    logits, top_k = case
    logits = logits.double()
    experts = logits.shape[1]
    tokens_choose = TopKRouter(1, experts, top_k=top_k).double().route(logits)
    experts_choose = ExpertChoiceRouter(1, experts, capacity_factor=top_k)
    experts_choose = experts_choose.double().route(logits)
    probs = logits.softmax(dim=1)
    first, last = one_bar(probs, top_k, 0), one_bar(probs, top_k, 1)
    assert first.taken.equal(tokens_choose.dense() > 0)
    assert last.kept.equal(experts_choose.dense() > 0) and last.late == 0
    assert last.places == experts_choose.capacity
    assert last.load_cv == 0 and last.load.eq(last.places).all()
    assert first.taken.sum(dim=1).eq(top_k).all()


@settings(max_examples=100, deadline=None)
@given(tables(), st.floats(0.01, 0.99))
def test_in_between_the_bar_decides_and_the_wall_holds(case, share):
    logits, top_k = case
    probs = logits.double().softmax(dim=1)
    choice = one_bar(probs, top_k, share)
    above = {True: [], False: []}  # of those that are taken, and of those that are not
    for t, row in enumerate(probs):
        for e, p in enumerate(row):
            own = row.sort(descending=True).values[top_k - 1]
            theirs = probs[:, e].sort(descending=True).values[choice.places - 1]
            bar = own ** (1 - share) * theirs**share
            above[bool(choice.taken[t, e])].append((p / bar).item())
    assert min(above[True]) >= max(above[False], default=0) - 1e-9
    pairs = sorted([top_k * len(probs), choice.places * probs.shape[1]])
    assert pairs[0] <= choice.asked.sum() <= pairs[1]
    assert (choice.load <= choice.places).all()
    late = choice.asked.sum() - choice.load.sum()
    assert choice.late == late == (choice.asked - choice.places).clamp(min=0).sum()


def test_bad_values_are_named():
    probs = torch.full((3, 2), 0.5, dtype=torch.float64)
    with pytest.raises(ValueError, match="top_k=3 but num_experts=2"):
        one_bar(probs, 3, 0)
    with pytest.raises(ValueError, match=r"share=1\.5"):
        one_bar(probs, 1, 1.5)
