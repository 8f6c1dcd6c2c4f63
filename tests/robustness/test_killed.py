"""A process killed at any moment: the next one goes on, nothing blocks, no litter."""

import itertools
import json
import os
import random
import time

import pytest
from cases import measurement, numbers, record, trainer

from moe_lib.course import kept_file
from moe_lib.course.long_runs import part_of, run
from moe_lib.course.measurements import stored
from moe_lib.locking import locked

MOMENTS = random.Random(1991)


def kill_after_a_while(process, most):
    time.sleep(MOMENTS.uniform(0, most))
    process.kill()
    process.join()


def test_a_long_measurement_goes_on_from_the_last_piece(tmp_path, start):
    item, folder = measurement(pause=0.05), tmp_path / "results"
    part, done = part_of(item, folder), [0]
    while not (folder / "99-tiny.json").exists():
        kill_after_a_while(start(run, item, folder), 0.3)
        if part.exists():
            done.append(len(json.loads(part.read_text())["values"].get("x", [])))
            assert done[-1] >= done[-2]
    assert len(set(done)) > 2, "it was to be killed between pieces"
    assert os.listdir(folder) == ["99-tiny.json"]
    x = [numbers(item.config, [seed])["x"].item() for seed in item.seeds]
    assert stored(item, folder)["x"].tolist() == pytest.approx(x, rel=1e-5)


def save_for_ever(path):
    one = trainer()
    for steps in itertools.count(1):
        one.run(steps).save(path)


def test_a_saved_run_is_whole_whenever_its_writer_was_killed(tmp_path, start):
    path = tmp_path / "runs" / "run.pt"
    path.parent.mkdir()
    trainer().save(path)
    steps = []
    for _ in range(8):
        kill_after_a_while(start(save_for_ever, path), 0.3)
        steps.append(trainer().load(path).step)
    assert max(steps) > 0
    path.with_name("run.pt.part").write_bytes(b"half of it")  # and at the worst moment
    trainer().load(path).save(path)
    assert os.listdir(path.parent) == ["run.pt"]


def record_for_ever():
    for number in itertools.count():
        record(f"01.{number}", passed=False)


def test_progress_goes_on_after_a_killed_kernel(progress_path, start):
    for _ in range(8):
        kill_after_a_while(start(record_for_ever), 0.15)
        began = time.monotonic()
        assert record("02.1", passed=False) == ""
        assert time.monotonic() - began < 2
        json.loads(progress_path.read_text("utf-8"))
    assert len(json.loads(progress_path.read_text())["exercises"]) > 2
    progress_path.with_name("progress.json.new").write_text("{half")
    progress_path.with_name("progress.json.lock").touch()  # as older editions left it
    assert record("02.2") == ""
    names = os.listdir(progress_path.parent)
    assert sorted(names) == ["progress.json", "progress.json.lock"]


def hold(path, flag):
    with locked(path):
        flag.touch()
        time.sleep(60)


def test_a_holder_that_hangs_is_what_is_told(
    progress_path, tmp_path, start, monkeypatch
):
    holder = start(hold, progress_path, flag := tmp_path / "held")
    while not flag.exists():
        time.sleep(0.01)
    monkeypatch.setattr(kept_file, "locked", lambda file: locked(file, patience=0.1))
    said = record()
    assert said.startswith("your progress is not kept: another process holds its lock")
    assert "close the other notebook; then run this cell again" in said
    holder.kill()


def test_a_lock_ends_with_its_holder(progress_path, tmp_path, start):
    holder = start(hold, progress_path, flag := tmp_path / "held")
    while not flag.exists():
        time.sleep(0.01)
    holder.kill()
    began = time.monotonic()
    assert record() == "" and time.monotonic() - began < 2
