"""Progress is kept and merged; nothing about its file stops a chapter."""

import json
import os
import re
from datetime import date

import pytest

from moe_lib.course import exercise, progress, progress_file
from moe_lib.course import leaderboard_standings as standings
from moe_lib.course.checking import FAILS, PASSES, Verdict
from moe_lib.course.exercises import find

RIGHT = find("01.4").solution
NAME, WRONG = next(iter(find("01.4").mistakes.items()))
TODAY = date.today().isoformat()


def entries(path):
    return json.loads(path.read_text("utf-8"))["exercises"]


def passing(id="01.4"):
    return Verdict(id, PASSES, "all")


def test_what_is_kept_of_a_try_and_of_a_pass(progress_path):
    exercise("01.4")(WRONG)
    tried = {"state": "tried", "attempts": 1, "first_passed": None, "diagnosis": NAME}
    assert entries(progress_path) == {"01.4": tried}
    exercise("01.4")(WRONG)
    exercise("01.4")(RIGHT)
    passed = {"state": "passed", "attempts": 3, "diagnosis": NAME}
    assert TODAY <= entries(progress_path)["01.4"].pop("first_passed")
    kept = entries(progress_path)["01.4"]
    assert {key: kept[key] for key in passed} == passed


def test_what_is_passed_stays_passed(progress_path):
    exercise("01.4")(RIGHT)
    before = progress_path.read_bytes()
    exercise("01.4")(WRONG)
    exercise("01.4")(RIGHT)
    assert progress_path.read_bytes() == before
    assert os.listdir(progress_path.parent) == ["progress.json"]


def test_the_file_stands_in_the_current_folder(tmp_path, monkeypatch, progress_path):
    monkeypatch.delenv(progress_file.VARIABLE)
    monkeypatch.chdir(tmp_path)
    assert progress_file.record(passing()) == ""
    assert progress_path.exists()


@pytest.mark.parametrize(
    ("folder", "file"),
    [
        ("chapters/my_work/2026-01-31", "chapters/progress.json"),
        ("my_work/course/chapters", "my_work/course/chapters/progress.json"),
    ],
)
def test_copies_in_my_work_share_the_chapters_progress(
    tmp_path, monkeypatch, folder, file
):
    monkeypatch.delenv(progress_file.VARIABLE)
    (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / folder)
    assert progress_file.record(passing()) == ""
    assert list(entries(tmp_path / file)) == ["01.4"]
    monkeypatch.setenv(progress_file.VARIABLE, "own.json")
    assert progress_file.path() == tmp_path / folder / "own.json"


def test_names_as_people_type_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = {
        '"sub/p.json"': "sub/p.json",
        "'sub/p.json'": "sub/p.json",
        " ": "progress.json",
        "~nosuchuser/p.json": "~nosuchuser/p.json",
    }
    for name, path in wanted.items():
        monkeypatch.setenv(progress_file.VARIABLE, name)
        assert progress_file.path() == tmp_path / path
    monkeypatch.setenv(progress_file.VARIABLE, '"off"')
    assert progress_file.path() is None


@pytest.mark.parametrize("name", [".", "/", "..", "/proc/p.json", "x" * 300])
def test_names_that_cannot_be_files_are_told(tmp_path, monkeypatch, name):
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    monkeypatch.setenv(progress_file.VARIABLE, name)
    assert progress_file.record(passing()).startswith("your progress is not kept: ")
    assert isinstance(repr(progress()), str)
    standings.kept()


def test_a_folder_that_is_gone_stops_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv(progress_file.VARIABLE)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert "your progress is not kept: progress.json: " in progress_file.record(
        passing()
    )
    assert "no exercise passed" in repr(progress())


def test_progress_can_be_switched_off(tmp_path, monkeypatch):
    monkeypatch.setenv(progress_file.VARIABLE, "Off")
    monkeypatch.chdir(tmp_path)
    exercise("01.4")(RIGHT)
    assert os.listdir(tmp_path) == []
    assert "no exercise passed" in repr(progress())


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": 2, "exercises": {}}', '{"format": 1}',
     '{"format": 1, "exercises": {"01.1": {}}}',
     '{"format": 1, "exercises": {"01.1": "passed"}}', "\udcff"],
)  # fmt: skip
def test_a_broken_file_is_set_aside(progress_path, text, capsys):
    progress_path.write_text(text, "utf-8", "surrogateescape")
    assert "progress.json cannot be read (" in repr(progress()).splitlines()[0]
    exercise("01.4")(RIGHT)
    said = r"progress.json could not be read \(.+\): it is now progress.json.broken,"
    assert re.search(said, capsys.readouterr().out)
    broken = progress_path.with_name("progress.json.broken")
    assert broken.read_text("utf-8", "surrogateescape") == text
    assert list(entries(progress_path)) == ["01.4"]
    exercise("01.1")(find("01.1").solution)
    assert not re.search(said, capsys.readouterr().out)


def test_a_folder_that_is_not_there_is_made(tmp_path, monkeypatch):
    path = tmp_path / "new" / "folder" / "mine.json"
    monkeypatch.setenv(progress_file.VARIABLE, str(path))
    assert progress_file.record(passing()) == ""
    assert list(entries(path)) == ["01.4"]


def test_the_table(progress_path):
    table = progress()
    assert re.fullmatch(r"no exercise passed yet, of \d+ in \d+ chapters", repr(table))
    progress_file.record(passing("01b.1"))
    progress_file.record(Verdict("01b.2", FAILS, "wrong"))
    text, html = repr(progress()), progress()._repr_html_()
    assert text.startswith("exercises passed: 1 of ")
    assert "\n  chapter 1b  ● ◐ ○ ○  1 of 4" in text
    for mark in ("01b.1 the responsibilities of a tree: passed", ": tried", ": open"):
        assert mark in html
    progress_path.unlink()
    assert repr(progress()) == repr(table)
