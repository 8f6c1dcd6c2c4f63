"""The script of chapter 3b, in four processes by run_ranks and in two by torchrun."""

import subprocess
import sys

import pytest
import torch

from moe_lib.course.split_run import SplitRun
from moe_lib.launching import run_ranks

SCRIPT = "moe_lib.course.split_experts"
FEW = ("--repeats", "2", "--tokens")


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """Ranks with unequal numbers of tokens, one with none; all remedies."""
    file = tmp_path_factory.mktemp("split") / "four.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOE_LIB_BARS", "0")
        run = run_ranks(SCRIPT, "--out", file, *FEW, 60, 0, 30, 10, ranks=4)
    assert run.starting > 0 and run.working > 0
    return SplitRun.from_file(file)


def test_four_processes_compute_what_one_does(four):
    assert max(four.differences.values()) < 1e-5
    assert {"outputs", "gradient of experts.w_in"} < four.differences.keys()
    assert len(four.same.rows) == 5


def test_the_bytes_are_those_of_the_arithmetic(four):
    assert four.rows.sum(dim=1).tolist() == [120, 0, 60, 20]  # two experts a token
    for kind in ("dispatch", "combine"):
        assert torch.equal(four.traffic(kind), four.calculated(kind))


def test_the_step_that_is_shown_is_one_of_the_plain_ones(four):
    assert {event.rank for event in four.events} == {0, 1, 2, 3}
    longest = max(event.end for event in four.events)
    assert longest == pytest.approx(sorted(four.tried[0].step)[1])


def test_each_remedy_does_to_the_bytes_what_it_says(four):
    plain, bfloat16, int8, own, half, one, *wide = four.tried
    for k in range(2):
        assert bfloat16.crossing[k] * 2 == plain.crossing[k]
        assert int8.crossing[k] * 128 * 4 == plain.crossing[k] * 132
        assert own.crossing[k] == 0 < half.crossing[k] < plain.crossing[k]
        assert one.crossing[k] < plain.crossing[k]
    assert wide[1].crossing == plain.crossing


def test_rounding_moves_outputs_little_and_only_rounding_is_converted(four):
    plain, bfloat16, int8, *others = four.tried
    assert plain.output_distance == [0, 0]
    assert 0 < max(bfloat16.output_distance) < min(int8.output_distance) < 0.02
    assert max(bfloat16.gradient_distance) < min(int8.gradient_distance) < 0.2
    assert [t.converting for t in (plain, *others)] == [[0, 0]] * 6
    assert 0 < four.pays_below(bfloat16) and four.pays_below(plain) is None
    assert list(four.payloads) == ["float32", "bfloat16", "int8"]


def test_what_is_printed_is_equal_on_every_machine(four):
    assert repr(four) == "4 ranks with 60, 0, 30, 10 tokens"
    assert repr(four.remedies) == "7 remedies, 4 ranks with 60, 0, 30, 10 tokens"


def test_plain_torchrun_starts_it_unchanged(tmp_path):
    command = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", SCRIPT]
    options = ["--plain", "--out", str(tmp_path / "two.json"), *FEW, "20", "30"]
    subprocess.run([sys.executable, *command, *options], check=True, timeout=100)
    two = SplitRun.from_file(tmp_path / "two.json")
    assert two.tokens == [20, 30] and len(two.tried) == 1
    assert max(two.differences.values()) < 1e-5
