"""Algorithm 1: the chapter's two versions, the oracle's loop and the library agree."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lib.course import algorithm_1
from moe_lib.course.algorithm_1 import (
    KINDS,
    PARTS,
    agreement_table,
    disagreements,
    gshard_loss,
    random_cases,
)
from moe_lib.course.balance_conventions import (
    CONVENTIONS,
    balanced_logits,
    collapsed_logits,
    conventions_table,
    top_2_table,
)
from oracles.token_choice import gshard
from sources import CHAPTERS, source_cells

CHAPTER = CHAPTERS / "03_gshard.py"


def loop(gates, capacity, rnd):
    """The oracle, group by group; its logits are the gates' logarithms."""
    answers = []
    for g, draws in zip(gates, rnd, strict=True):
        size, experts = g.shape
        rows, l_aux = gshard(
            g.log().tolist(), capacity, range(size), rnd=draws.tolist()
        )
        weights = torch.zeros(size, experts, dtype=g.dtype)
        for row in rows:
            weights[row.token, row.expert] = row.weight
        slots = torch.tensor([row.slot for row in rows]).view(size, 2)
        kept = torch.tensor([row.kept for row in rows]).view(size, 2)
        answers.append((weights, slots, kept, torch.tensor(l_aux, dtype=g.dtype)))
    return [torch.stack(part) for part in zip(*answers, strict=True)]


def chapter_versions():
    """What the chapter's cells define, run as the reader runs them."""
    names = {}
    for cell in source_cells(CHAPTER):
        source = cell["source"]
        if "def algorithm_1(" in source or "def vectorised(" in source:
            exec("import torch\nfrom torch.nn import functional as F\n" + source, names)
    return names["by_hand"], names["vectorised"]


def test_the_oracle_s_loop_and_the_library_agree_on_a_thousand_cases():
    wrong = disagreements(loop, cases=1000)
    assert wrong["loop"].tolist() == [0, 0, 0, 0]


def test_the_chapter_s_loop_and_cumsum_agree_on_a_thousand_cases():
    by_hand, vectorised = chapter_versions()
    wrong = disagreements(by_hand, vectorised)
    assert {name: counts.tolist() for name, counts in wrong.items()} == {
        "by_hand": [0, 0, 0, 0],
        "vectorised": [0, 0, 0, 0],
    }
    table = agreement_table(wrong)
    assert repr(table) == "2 versions, 1,000 cases: 0 differences"
    assert table.rows[0] == ["by_hand", *["1,000 of 1,000"] * 4]


def unnormalised(weights, slots, kept, loss, gates, rnd):
    return gates * (weights > 0), slots, kept, loss


def never_declined(weights, slots, kept, loss, gates, rnd):
    return loop(gates, 10**6, torch.zeros_like(rnd))


def from_one(weights, slots, kept, loss, gates, rnd):
    return weights, slots + 1, kept, loss


def summed_loss(weights, slots, kept, loss, gates, rnd):
    return weights, slots, kept, loss * gates.shape[2]


@pytest.mark.parametrize(
    ("mistake", "parts"),
    [
        (unnormalised, {"weights"}),
        (from_one, {"slots"}),
        (never_declined, {"weights", "kept"}),
        (summed_loss, {"loss"}),
    ],
)
def test_a_mistake_is_counted_where_it_is(mistake, parts):
    def version(gates, capacity, rnd):
        return mistake(*loop(gates, capacity, rnd), gates, rnd)

    counts = disagreements(version, cases=60)["version"].tolist()
    assert {p for p, n in zip(PARTS, counts, strict=True) if n > 10} == parts
    assert {p for p, n in zip(PARTS, counts, strict=True) if n} == parts
    text = agreement_table({"version": torch.tensor(counts)}, 60)
    assert repr(text).endswith(f"{sum(counts)} differences")


def test_a_version_that_gives_nan_is_wrong():
    def version(gates, capacity, rnd):
        weights, *rest = loop(gates, capacity, rnd)
        return [weights * torch.nan, *rest]

    assert disagreements(version, cases=12)["version"].tolist() == [12, 0, 0, 0]


def test_the_cases_are_of_every_kind():
    cases = list(random_cases(120))
    assert {case.kind for case in cases} == set(KINDS)
    shapes = {kind: [c for c in cases if c.kind == kind] for kind in KINDS}
    assert all(c.routing.capacity == 1 for c in shapes["C = 1"])
    assert all(c.gates.shape[1] == 1 for c in shapes["S = 1"])
    assert all(c.gates.shape[2] == 2 for c in shapes["E = 2"])
    assert all(c.gates.flatten(0, 1).max(1).values.min() > 0.9
               for c in shapes["one expert"])  # fmt: skip
    ties = [
        c.gates.sort(dim=-1).values.diff(dim=-1).eq(0).any() for c in shapes["ties"]
    ]
    assert sum(ties) > len(ties) / 2
    assert any(len(c.gates) > 1 for c in cases)
    declined = [~c.routing.kept & (c.routing.position_in_expert < c.routing.capacity)
                for c in cases]  # fmt: skip
    assert sum(bool(d.any()) for d in declined) > 40


def test_the_cases_leave_the_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    list(random_cases(3))
    assert torch.equal(torch.rand(1), expected)


def test_e_squared_l_aux_is_the_loss_of_switch():
    assert algorithm_1.loss_off(60) < 1e-12


@settings(deadline=None, max_examples=25)
@given(experts=st.integers(2, 12), rounds=st.integers(1, 4))
def test_values_at_balance(experts, rounds):
    routing = top_2_table(balanced_logits(experts, rounds * experts))
    values = [float(value(routing)) for value in CONVENTIONS.values()]
    square = 1 / experts**2
    assert values == pytest.approx([square, square, 1, 0.01, 1, 2, 0, 0], abs=1e-12)


def test_values_of_one_expert_for_all():
    routing = top_2_table(collapsed_logits(5, 10))
    values = [float(value(routing)) for value in CONVENTIONS.values()]
    assert values == pytest.approx([1 / 5, 1 / 5, 5, 0.05, 2.5, 5, 4, 1.5], abs=1e-9)
    assert gshard_loss(routing).shape == (1,)


def test_the_table_of_conventions():
    table = conventions_table()
    assert repr(table) == "8 conventions of the balance loss"
    assert [row[1] for row in table.rows] == [
        "1/64", "1/64", "1", "1/100", "1", "2", "0", "0",
    ]  # fmt: skip
    assert table.rows[0][2] == "1/8" and "<td" in table._repr_html_()
