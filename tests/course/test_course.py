"""Exercises, claims, set-up and self-test."""

import importlib
import pkgutil
import sys

import pytest
import torch

import moe_lib.course
from moe_lib.course import (
    Claim,
    ClaimsTable,
    exercise,
    hint,
    self_test,
    solution,
    start,
)
from moe_lib.course.exercises import check, find

ALL = [
    item
    for module in pkgutil.iter_modules(moe_lib.course.__path__)
    if module.name.startswith("exercises_")
    for item in importlib.import_module(f"moe_lib.course.{module.name}").EXERCISES
]


@pytest.mark.parametrize("item", ALL, ids=lambda item: item.id)
def test_stub_solution_and_mistakes(item):
    def stub(*args):
        raise NotImplementedError

    passed, message = check(item, stub)
    assert not passed and "not written yet" in message
    passed, message = check(item, item.solution)
    assert passed and f"passes all {len(item.cases)} cases" in message
    assert len(item.mistakes) >= 2
    for likely, mistake in item.mistakes.items():
        passed, message = check(item, mistake)
        assert not passed
        assert message.endswith(f"likely: {likely}"), message


def test_the_reader_gets_her_own_function_only_if_it_passes(capsys):
    @exercise("01.4")
    def wrong(gates):
        return 99

    reference = find("01.4").solution
    assert wrong is reference
    assert "it gave 99" in capsys.readouterr().out

    @exercise("01.4")
    def raising(gates):
        return gates.no_such_thing

    assert raising is reference
    assert "it raised AttributeError" in capsys.readouterr().out

    def mine(gates):
        return int((gates.mean(0) > 0.05).sum())

    assert exercise("01.4")(mine) is mine


def test_a_function_that_writes_into_its_input_harms_only_itself():
    item = find("01.4")
    before = [case[0].clone() for case in item.cases]
    check(item, lambda gates: gates.zero_().sum())
    assert all(torch.equal(a, b[0]) for a, b in zip(before, item.cases, strict=True))


def test_hint_and_solution_show_themselves(capsys):
    hint("01.1")
    solution("01.1")
    shown = capsys.readouterr().out
    assert "Bayes" in shown and "def responsibilities(" in shown
    with pytest.raises(ValueError, match=r"exercise '01.9' is unknown: .* has 01.1, "):
        hint("01.9")
    with pytest.raises(ValueError, match="no chapter '77' has any"):
        exercise("77.1")


def test_verdicts_are_computed():
    fast, slow = torch.tensor([1.0, 1.2, 1.1]), torch.tensor([2.0, 2.1, 1.9])
    about = ("id", "text", "source", "paper")
    assert Claim.compare(*about, fast, slow).verdict == "holds"
    assert Claim.compare(*about, slow, fast).verdict == "does not hold here"
    assert Claim.compare(*about, fast, fast + 0.01).verdict == "within noise"
    with_gap = torch.cat([fast, torch.tensor([torch.nan])])
    assert Claim.compare(*about, with_gap, slow).ours.startswith("1 ± 0")
    assert Claim.exact(*about, "ours", False).verdict == "does not hold here"
    assert Claim.share(*about, torch.tensor([True] * 19 + [False])).verdict == "holds"
    few = torch.tensor([True] * 18 + [False] * 2)
    assert Claim.share(*about, few).verdict == "does not hold here"
    assert Claim.same(*about, fast, fast + 1, margin=0.9).verdict != "holds"
    assert Claim.same(*about, fast, fast + 1, margin=1.1).verdict == "holds"
    assert Claim.cited(*about, "too large").verdict == "cited only"
    with pytest.raises(ValueError, match="claim id: lower has 1 finite values"):
        Claim.compare(*about, fast[:1], slow)


def test_claims_table_prints_verdicts_and_escapes_html():
    table = ClaimsTable(Claim.cited("M1.x", "a < b", "s", "p", "r"))
    assert repr(table) == "M1.x  cited only"
    assert "a &lt; b" in table._repr_html_()


def test_profiles(monkeypatch):
    assert start().profile == "quick"
    assert start("full").pick(quick=1, full=2) == 2
    monkeypatch.setenv("MOE_LIB_PROFILE", "full")
    assert start().profile == "full"
    with pytest.raises(ValueError, match="profile 'fast' is unknown: choose quick or"):
        start("fast")


def test_self_test_names_each_problem_and_its_remedy(monkeypatch):
    course = start("quick")
    assert repr(self_test(course)) == "self-test: all is well"
    selftest = sys.modules["moe_lib.course.selftest"]

    def missing(name):
        raise selftest.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(selftest.importlib.metadata, "version", missing)
    monkeypatch.setattr(selftest.sys, "version_info", (3, 9))
    report = self_test(course)
    assert "plotly - run `make lab`" in repr(report)
    assert "Python - install Python 3.11" in repr(report)
    assert ">missing</td>" in report._repr_html_()
