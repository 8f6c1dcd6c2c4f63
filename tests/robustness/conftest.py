"""Real processes: forked, so that each need not import torch again."""

import multiprocessing
import tempfile
import threading

import pytest
from tqdm import tqdm

from moe_lib.course import kept_file

FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def progress_path(tmp_path, monkeypatch):
    """Where this test's progress is kept; nothing has been told yet."""
    path = tmp_path / "work" / "progress.json"
    path.parent.mkdir()
    monkeypatch.setenv(kept_file.VARIABLE, str(path))
    monkeypatch.setattr(kept_file, "_told", {})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return path


@pytest.fixture
def start():
    """``start(function, *args)``: a process, killed at the latest after the test."""
    processes = []

    def alone(function, *args):
        # tqdm's lock is shared with us: killed while it has it, the process would keep
        # it for ever, and the next bar of ours would wait
        tqdm.set_lock(threading.RLock())
        function(*args)

    def begin(function, *args):
        processes.append(FORK.Process(target=alone, args=(function, *args)))
        processes[-1].start()
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.join()


@pytest.fixture
def answer(start):
    """``answer(function, *args)``: what it returns in a process of its own."""

    def call(function, *args):
        ours, theirs = FORK.Pipe()
        start(lambda: theirs.send(function(*args)))
        assert ours.poll(60), "no answer"
        return ours.recv()

    return call
