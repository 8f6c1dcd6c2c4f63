"""Two notebooks at once: whatever both write, both keep."""

import json
import os
import time

import pytest
from cases import measurement, record, result, trainer

from moe_lib.course.leaderboard_standings import keep, kept
from moe_lib.course.long_runs import run
from moe_lib.course.stored_results import ResultsError

MANY = 50


def record_many(chapter):
    assert [record(f"{chapter}.{k}", passed=False) for k in range(MANY)] == [""] * MANY


def keep_many(name):
    assert [keep(f"{name} {k}", result()) for k in range(MANY)] == [""] * MANY


def save_many(path, steps):
    one = trainer().run(steps)
    for _ in range(8):
        one.save(path)


def both(start, function, *arguments):
    processes = [start(function, *args) for args in arguments]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]


def test_no_verdict_is_lost(progress_path, start):
    both(start, record_many, ("01",), ("02",))
    entries = json.loads(progress_path.read_text())["exercises"]
    assert set(entries) == {f"{c}.{k}" for c in ("01", "02") for k in range(MANY)}
    assert os.listdir(progress_path.parent) == ["progress.json"]


def test_no_place_on_the_leaderboard_is_lost(progress_path, start):
    both(start, keep_many, ("a",), ("b",))
    assert set(kept()[0]) == {f"{name} {k}" for name in "ab" for k in range(MANY)}
    assert os.listdir(progress_path.parent) == ["leaderboard.json"]


def test_a_file_that_both_save_is_one_of_the_two(tmp_path, start):
    path = tmp_path / "runs" / "run.pt"
    path.parent.mkdir()
    trainer().run(1)  # torch imports more for the first one
    both(start, save_many, (path, 1), (path, 2))
    assert trainer().load(path).step in (1, 2)
    assert os.listdir(path.parent) == ["run.pt"]


def test_a_measurement_is_made_by_one_process_at_a_time(tmp_path, start):
    item, folder = measurement(pause=0.2, seeds=4), tmp_path / "results"
    other = start(run, item, folder)
    while not folder.exists():
        time.sleep(0.01)
    with pytest.raises(ResultsError, match="is being measured by another process"):
        run(item, folder)
    other.join(30)
    assert os.listdir(folder) == ["99-tiny.json"]
