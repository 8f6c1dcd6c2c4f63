"""The capped programme: the exercise's solution, the constraints, the solver's best."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lib.course import claims_05_capped
from moe_lib.course.capped_exercise import CAPPED, capped_assignment
from moe_lib.course.capped_programme import (
    best_value,
    by_library,
    by_rounds,
    constraints,
    example_scores,
    experts_per_token,
    fill,
    rounds_table,
)
from moe_lib.course.checking import FAILS, check
from moe_lib.course.evidence import EXACT
from moe_lib.routers import capped_choice


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 5), st.data())
def test_fill_gives_each_row_its_sum(terms, rows, data):
    total = data.draw(st.integers(1, terms))
    seed = data.draw(st.integers(0, 99))
    draw = torch.Generator().manual_seed(seed)
    energy = 20 * torch.randn(rows, terms, generator=draw, dtype=torch.float64)
    filled = (energy + fill(energy, total)).clamp(max=0).exp()
    assert torch.allclose(filled.sum(dim=1), torch.tensor(float(total)).double())


@pytest.mark.parametrize("total", [0, 4])
def test_fill_refuses_a_sum_out_of_reach(total):
    with pytest.raises(ValueError, match=f"total={total}: give 1 to 3, since"):
        fill(torch.zeros(2, 3), total)


@pytest.mark.parametrize(("slots", "cap"), [(4, 2), (6, 2), (6, 3)])
def test_the_exercise_is_the_library_without_its_longer_steps(monkeypatch, slots, cap):
    monkeypatch.setattr(capped_choice, "STEP", 1.0)
    scores = example_scores(24)
    for rounds in (1, 7):
        mine = capped_assignment(scores, slots, cap, 0.01, rounds)
        theirs = by_library(scores, slots, cap, 0.01, rounds)
        assert torch.allclose(mine, theirs, atol=1e-9)


def test_the_exercise_knows_its_mistakes():
    (item,) = CAPPED
    assert check(item, item.solution).passed
    for name, mistake in item.mistakes.items():
        verdict = check(item, mistake)
        assert (verdict.state, verdict.likely) == (FAILS, name)


def test_the_best_value_is_that_of_the_best_assignment():
    scores = example_scores(4, 2, seed=1)
    pairs = itertools.combinations(range(4), 2)
    values = [scores[0, list(p)].sum() + scores[1, [t for t in range(4) if t not in p]]
              .sum() for p in pairs]  # fmt: skip
    assert best_value(scores, 2, 1) == pytest.approx(max(values).item())
    with pytest.raises(ValueError, match="slots=3: give at most 2, which 4 tokens"):
        best_value(scores, 3, 1)


def test_what_constraints_measures():
    scores = torch.tensor([[0.6, 0.4, 0.5], [0.4, 0.6, 0.5]]).double()
    plan = torch.tensor([[1, 0, 0.5], [1, 0, 0]]).double()
    found = constraints(plan, scores, 1, 1, best=1.0)
    assert (found.row, found.column) == (0.5, 1.0)
    assert found.value == pytest.approx(1.25)
    assert found.above == pytest.approx(1 / 3)  # both take the first token


def test_more_rounds_bring_the_columns_down_and_the_cap_is_felt():
    scores = example_scores(64)
    found = by_rounds(by_library, scores, 16, 2, rounds=(3, 100))
    assert found[100].column < 0.1 < found[3].column
    assert found[100].above < found[3].above
    free = experts_per_token(scores, 16)
    capped = experts_per_token(by_library(scores, 16, 2, 0.001, 300), 16)
    assert free.sum() == capped.sum() == 128
    assert free.max() > 3 and capped.max() <= 3


def test_tables_say_what_they_show():
    scores = example_scores(32)
    rounds = rounds_table({"a": by_library}, scores, 8, 3, rounds=(1, 2))
    assert [row[:2] for row in rounds.rows] == [("a", 1), ("a", 2)]
    assert repr(rounds) == "Capped at 3: a, by rounds"


def test_claims_are_judged_and_can_fail(monkeypatch):
    found = {c.id: c for c in claims_05_capped.capped_claims(seeds=1)}
    assert list(found) == [
        "M5.capped-rows", "M5.capped-balance", "M5.capped-columns", "M5.capped-value",
        "M5.capped-columns-average", "M5.capped-value-average",
    ]  # fmt: skip
    for id in ("rows", "balance", "columns"):
        assert found[f"M5.capped-{id}"].verdict == EXACT
    monkeypatch.setattr(
        claims_05_capped, "by_library", lambda s, *_: torch.zeros_like(s)
    )
    monkeypatch.setattr(claims_05_capped, "uneven", lambda seeds: (1.0, 2, "routings"))
    wrong = {c.id: c for c in claims_05_capped.capped_claims(seeds=1)}
    for id in ("rows", "balance", "value", "value-average"):
        assert wrong[f"M5.capped-{id}"].verdict != EXACT
