"""Claims, set-up and self-test."""

import sys

import pytest

from moe_lib.course import self_test, start


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
