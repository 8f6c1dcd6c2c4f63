"""Every published slip fails its check, and the library passes it."""

import pytest
import torch

from moe_lib.course import published_slips
from moe_lib.course.published_slips import (
    CAUGHT,
    FAILS,
    MISSED,
    PASSES,
    SLIPS,
    Slip,
    slips_off,
    slips_table,
)


@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: slip.name)
def test_the_slip_is_caught_and_the_library_passes(slip):
    state = torch.get_rng_state()
    low, high = slip.range
    wrong, ours = slip.answers
    assert low <= ours <= high and not low <= wrong <= high
    assert slip.verdicts == (CAUGHT, PASSES)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_answers_are_those_that_were_reported():
    answers = {slip.name: slip.answers[0] for slip in SLIPS}
    assert len(answers) == len(SLIPS) == 11
    assert answers["positions from 1, compared with <"] == 1
    assert answers["places counted in bfloat16"] == 406
    assert answers["the gate applied twice"] == pytest.approx(0.5)
    emptied = "the loss counts after dropping: an emptied row's argmax is expert A"
    assert answers[emptied] == pytest.approx(0.5, abs=1e-3)


def test_a_verdict_can_be_bad(monkeypatch):
    as_good = Slip("n", "s", "q", 2, wrong=lambda: 2, ours=lambda: 2)
    as_bad = Slip("n", "s", "q", (1, 2), wrong=lambda: 3, ours=lambda: float("nan"))
    assert as_good.verdicts == (MISSED, PASSES)
    assert as_bad.verdicts == (CAUGHT, FAILS)
    monkeypatch.setattr(published_slips, "SLIPS", (as_good, as_bad, SLIPS[0]))
    assert slips_off() == 2
    assert repr(slips_table()) == "published slips: 1 of 3 caught where moe_lib passes"


def test_the_table_shows_computed_answers():
    table = slips_table()
    assert repr(table) == "published slips: 11 of 11 caught where moe_lib passes"
    assert table.rows[0][3:] == ["1: caught", "2: passes"]
    assert all(len(row) == len(table.head) for row in table.rows)
