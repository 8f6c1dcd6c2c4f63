"""The benchmark command: what it writes, and that it refuses wrong arithmetic.

Nothing here looks at speed.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import figure, memory, report, run, timing
from benchmarks.candidates import OWN, Candidate
from benchmarks.peers import INSTALL, PEERS
from benchmarks.shapes import Bank, Shape
from benchmarks.targets import cases, targets

ROOT = Path(__file__).resolve().parent.parent
TINY = dict(num_tokens=64, d_model=16, d_ff=32)


def shape_for(name: str) -> Shape:
    switch = "Switch" in name
    gated = "Switch" not in name and "lucidrains" not in name
    activation = "swiglu" if gated else "relu"
    return Shape(num_experts=4, top_k=2 - switch, activation=activation, **TINY)


def build(name: str) -> Candidate:
    try:
        return run.BUILDERS[name](Bank(shape_for(name), "cpu", torch.float32))
    except ModuleNotFoundError as error:
        pytest.skip(f"{error.name} is not installed: {INSTALL[error.name]}")


@pytest.mark.parametrize("name", [*OWN, *PEERS])
def test_every_candidate_computes_what_it_should(name):
    candidate = build(name)
    assert candidate.error() <= 1e-5
    candidate.forward_backward()
    assert all(parameter.grad is not None for parameter in candidate.parameters)


def test_wrong_arithmetic_is_not_timed():
    candidate = build("dense")
    with torch.no_grad():
        candidate.module.w_out[0, 0] += 1
    with pytest.raises(ArithmeticError, match="dense"):
        run.check(candidate, "dense", torch.float32)


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """The command on a tiny layer: its output, and the folder it wrote."""
    folder = tmp_path_factory.mktemp("results")
    sizes = ["--tokens", "64", "--d-model", "16", "--d-ff", "32", "--rounds", "2"]
    command = [sys.executable, "-m", "benchmarks", *sizes, "--out", str(folder)]
    done = subprocess.run(
        [*command, "--only", "relu", "flat", "sweep"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout, folder


def test_the_command_says_how_it_measured_and_judges_every_target(trial):
    text, _ = trial
    for word in ("machine", torch.__version__, "process CPU time", "malloc"):
        assert word in text
    wanted = [case for case in cases(TINY, quick=False)
              if case.name.startswith(("relu", "flat", "sweep"))]  # fmt: skip
    judged = [line for line in text.splitlines() if " met" in line or " missed" in line]
    for target in targets(wanted):
        assert any(target.text in line for line in judged)


def test_the_data_has_every_round_of_every_candidate(trial):
    _, folder = trial
    (path,) = folder.glob("*.json")
    data = json.loads(path.read_text())
    names = [case["name"] for case in data["cases"]]
    assert names == ["relu", "flat", "sweep T64 E8", "sweep T64 E64"]
    for case in data["cases"]:
        assert "ours" in case["seconds"] or case["name"] == "flat"
        assert all(len(rounds) == 2 for rounds in case["seconds"].values())
        assert all(value > 0 for rounds in case["seconds"].values() for value in rounds)
        assert set(case["peak_bytes"]) == set(case["seconds"])
    lines = {trace.name: list(trace.x) for trace in figure.figure(data).data}
    assert lines["ours, T 64"] == ["8", "64"]
    (page,) = folder.glob("*.html")
    assert "ours, T 64" in page.read_text("utf-8")


def test_every_target_belongs_to_a_case_and_its_candidates():
    found = {case.name: case for case in cases({}, quick=False)}
    for target in targets(list(found.values())):
        assert {target.over, *target.under} <= set(found[target.case].entries)


def test_rounds_rotate_and_repeat_short_steps():
    calls: list[str] = []
    clock = itertools.count()

    def seconds(step, repeats):
        step()
        calls.append(f"{step.__name__} x{repeats}")
        next(clock)
        return timing.SHORTEST / 2

    def a(): ...
    def b(): ...

    rounds = list(timing.measured_rounds({"a": a, "b": b}, 2, seconds))
    assert calls == ["a x1", "a x1", "b x1", "b x1", "a x2", "b x2", "b x2", "a x2"]
    assert rounds == [{"a": timing.SHORTEST / 2, "b": timing.SHORTEST / 2}] * 2


def test_a_slow_round_does_not_change_the_ratio():
    ours, dense = [1.1, 11.0, 1.1, 1.1], [1.0, 10.0, 1.0, 1.0]
    middle, low, high = timing.median_and_spread(timing.ratios(ours, dense))
    assert (middle, low, high) == pytest.approx((1.1, 1.1, 1.1))


@pytest.mark.parametrize(
    "faster, limit, met",
    [
        (False, 2.0, "met"),
        (False, 1.9, "missed"),
        (True, 0.5, "met"),
        (True, 0.6, "missed"),
    ],
)
def test_verdicts_compare_with_the_slowest(faster, limit, met):
    seconds = {"ours": [2.0], "dense": [0.5], "bmm": [1.0]}
    target = dict(text="t", case="c", over="ours", under=["dense", "bmm"],
                  limit=limit, faster=faster, memory=False)  # fmt: skip
    case = dict(name="c", threads=1, seconds=seconds, peak_bytes={})
    (row,) = report.verdicts({"targets": [target], "cases": [case]})
    assert row["verdict"] == met


def test_peak_memory_is_what_is_alive_at_the_worst_moment():
    """128 rows of 16 -> 32 -> 16 with relu. Worst is relu's backward: alive are the
    output, the hidden rows, their gradient before and after, and w_out's gradient."""
    bank = Bank(Shape(activation="relu", **TINY), "cpu", torch.float32)
    candidate = OWN["dense"](bank)
    candidate.forward_backward()
    hidden, output, weight = (4 * n for n in (128 * 32, 128 * 16, 32 * 16))
    assert memory.peak_bytes(candidate, "cpu") == 3 * hidden + output + weight


def test_a_thousand_steps_hold_no_more_than_a_hundred():
    found = memory.growth_in_a_process("cpu")
    assert found["steps"] == 1000
    assert found["after"] - found["before"] <= report.LEAK * 2**20


@pytest.mark.parametrize("activation", ["relu", "swiglu"])
def test_a_step_of_the_layer_holds_little_more_than_a_dense_one(activation):
    bank = Bank(Shape(activation=activation), "cpu", torch.float32)
    peaks = {name: memory.peak_bytes(OWN[name](bank), "cpu") for name in OWN}
    assert peaks["ours"] <= 1.3 * peaks["dense"], peaks
