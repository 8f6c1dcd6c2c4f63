"""Progress is kept and merged; nothing about its file stops a chapter."""

import json
import multiprocessing
import os
import re
import time
from datetime import date

import pytest

from moe_lib.course import exercise, progress, progress_file
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
    assert "no exercise passed" in repr(progress())
    exercise("01.4")(RIGHT)
    said = "progress.json could not be read: it is now progress.json.broken"
    assert said in capsys.readouterr().out
    broken = progress_path.with_name("progress.json.broken")
    assert broken.read_text("utf-8", "surrogateescape") == text
    assert list(entries(progress_path)) == ["01.4"]
    exercise("01.1")(find("01.1").solution)
    assert said not in capsys.readouterr().out


def test_a_folder_that_is_not_there_is_told_once(tmp_path, monkeypatch, capsys):
    path = tmp_path / "nowhere" / "progress.json"
    monkeypatch.setenv(progress_file.VARIABLE, str(path))
    assert exercise("01.4")(RIGHT) is RIGHT
    said = f"your progress is not kept: {path}: No such file or directory"
    assert said in capsys.readouterr().out
    assert exercise("01.4")(RIGHT) is RIGHT
    assert said not in capsys.readouterr().out
    assert "no exercise passed" in repr(progress())


def test_a_full_disk_loses_nothing_that_was_kept(progress_path, monkeypatch):
    progress_file.record(passing("01.1"))
    before = progress_path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(progress_path), "write_text", full)
    assert "No space left on device" in progress_file.record(passing())
    assert progress_path.read_bytes() == before
    assert os.listdir(progress_path.parent) == ["progress.json"]


def _record_many(numbers):
    for number in numbers:
        progress_file.record(Verdict(f"01.{number}", FAILS, "wrong"))


def test_notebooks_at_once_keep_all_their_entries(progress_path):
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=_record_many, args=(range(start, 60, 3),))
        for start in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert set(entries(progress_path)) == {f"01.{n}" for n in range(60)}
    assert os.listdir(progress_path.parent) == ["progress.json"]


def test_a_lock_that_was_left_behind_is_removed(progress_path, monkeypatch):
    monkeypatch.setattr(progress_file, "PATIENCE", 0.05)
    lock = progress_path.with_name("progress.json.lock")
    lock.touch()
    started = time.monotonic()
    assert progress_file.record(passing()) == ""
    assert time.monotonic() - started < 5 and not lock.exists()
    assert list(entries(progress_path)) == ["01.4"]


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
