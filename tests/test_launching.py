"""However a run of several processes ends: one line that says why, and nobody left."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from moe_lib.launching import (
    RanksError,
    _cause,
    run_ranks,
    start_rank,
    torchrun_command,
)

SCRIPT = Path(__file__).parent / "ranks_that_fail.py"
MINE = "RANKS_TEST"  # a variable that all processes of a test inherit

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="looks for processes in /proc"
)


@pytest.fixture(autouse=True)
def nobody_left(monkeypatch, request):
    """Runs are quiet, and none of their processes is alive when they have ended."""
    monkeypatch.setenv("MOE_LIB_BARS", "0")
    monkeypatch.setenv(MINE, request.node.name)
    yield
    assert not started_by(request.node.name)


def started_by(test):
    """Commands of the living processes that inherited this test's variable."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MINE}={test}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes())
        except OSError:
            continue
    return found


KILLED = (
    "rank 1 of 2 was killed by SIGKILL, and the others were stopped: if nobody did it,"
    " memory ran short"
)


@pytest.mark.parametrize(
    "case, line",
    [
        ("is killed in an exchange", re.escape(KILLED)),
        ("is killed while the other computes", re.escape(KILLED)),
        ("kills torchrun", "torchrun was killed by SIGKILL, and its ranks too"),
        ("needs four", r"rank [01] of 2: ValueError: this script needs 4 ranks but 2"
         " were started: give --nproc-per-node 4, or ranks=4 to run_ranks"),
        ("has too few experts", r"rank [01] of 2: ValueError: num_experts=3 but 2"
         " ranks: give a multiple of 2.*"),
        ("comes late", r"rank 0 of 2: TimeoutError: only 1 of 2 ranks arrived within 1"
         " s: look for the others' own errors, start all hosts together, or give"
         " start_rank a longer timeout"),
    ],
)  # fmt: skip
def test_a_failure_ends_in_one_line(case, line, tmp_path):
    with pytest.raises(RanksError) as caught:
        run_ranks(SCRIPT, case, tmp_path, ranks=2)
    last_to_come = max(note.stat().st_mtime for note in tmp_path.iterdir())
    assert time.time() - last_to_come < 30
    assert re.fullmatch(line, str(caught.value))
    assert ("exitcode" in caught.value.log) == (case != "kills torchrun")


def test_ctrl_c_stops_the_ranks_and_their_children(tmp_path):
    def interrupt():
        while len(list(tmp_path.iterdir())) < 4:  # the ranks and their children
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_ranks(SCRIPT, "has a child", tmp_path, ranks=2, timeout=100)


def test_a_run_that_takes_too_long_is_stopped(tmp_path):
    with pytest.raises(RanksError, match="were not done after 0"):
        run_ranks(SCRIPT, "goes on", tmp_path, timeout=0.5)


def test_ranks_do_not_outlive_the_kernel(tmp_path, request):
    code = f"from moe_lib.launching import *; run_ranks({str(SCRIPT)!r}, 'goes on',"
    kernel = subprocess.Popen([sys.executable, "-c", f"{code} {str(tmp_path)!r})"])
    deadline = time.monotonic() + 90
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(started_by(request.node.name)) >= 4  # kernel, torchrun, two ranks
    kernel.kill()
    kernel.wait()
    deadline = time.monotonic() + 10
    while started_by(request.node.name) and time.monotonic() < deadline:
        time.sleep(0.05)


def test_a_host_that_never_comes_is_not_waited_for(tmp_path):
    torchrun = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2",
         "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint",
         "localhost:0", "--rdzv-conf", "join_timeout=1", SCRIPT, "goes on", tmp_path],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert torchrun.returncode
    assert "RendezvousTimeoutError" in torchrun.stderr
    assert not list(tmp_path.iterdir())  # no rank was started


LOG = """\
something.py: error: no such option
E1123 17:35:26.839000 1 api.py:1002] failed (exitcode: {first}) local_rank: 1
  rank      : 0 (local_rank: 0)
  exitcode  : {second} (pid: 22510)
  rank      : 1 (local_rank: 1)
  exitcode  : {first} (pid: 22511)
"""


@pytest.mark.parametrize(
    "first, second, notes, line",
    [
        (2, -15, {}, "rank 1 of 2 ended with exit code 2: something.py: error: no such"
         " option"),
        (2, 1, {0: (5, "RuntimeError: closed")}, "rank 1 of 2 ended with exit code 2"),
        (1, 1, {0: (5, "late"), 1: (4, "early")}, "rank 1 of 2: early"),
        (-11, 1, {0: (5, "late")}, "rank 1 of 2 was killed by SIGSEGV"),
        (-6, 1, {0: (5, "first")}, "rank 0 of 2: first"),
        (-6, -15, {}, "torchrun ended with exit code 1: look into the error's .log"),
    ],
)  # fmt: skip
def test_the_cause_is_told_not_its_consequence(tmp_path, first, second, notes, line):
    for rank, (when, words) in notes.items():
        (tmp_path / f"{rank}.error").write_text(f'[{when}, {rank}, "{words}"]')
    log = LOG.format(first=first, second=second)
    assert _cause(log, tmp_path, 2, 1).startswith(line)


def test_outside_torchrun_the_command_is_told():
    with pytest.raises(RuntimeError, match="torchrun --nproc-per-node 3 SCRIPT"):
        start_rank(ranks=3)


@pytest.mark.parametrize("script", ["missing.py", "moe_lib.missing", "no_such.module"])
def test_a_script_that_is_not_there_is_named(script):
    with pytest.raises(ValueError, match=f"script='{script}' was not found: give"):
        run_ranks(script)


@pytest.mark.parametrize("wrong", [dict(ranks=0), dict(timeout=0.0)])
def test_numbers_are_checked(wrong):
    with pytest.raises(ValueError, match="give a"):
        run_ranks(SCRIPT, **wrong)


def test_modules_and_files_are_started_as_torchrun_wants_them():
    assert torchrun_command("moe_lib.layer", 1, ranks=3)[-5:] == [
        "--nproc-per-node", "3", "-m", "moe_lib.layer", "1",
    ]  # fmt: skip
    assert torchrun_command(SCRIPT, "a b")[-2:] == [str(SCRIPT), "a b"]
