"""Experts over 1, 2 and 4 real processes equal the layer in one process.

The cases are in parallel_cases.py; one start of processes for each number of ranks runs
them all, and each is a test here.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import parallel_cases
from moe_lib import MoE
from moe_lib.experts import Experts
from moe_lib.parallel import ExpertParallel
from moe_lib.routers import TopKRouter

DEADLINE = 240  # seconds, on any machine; a rank that waits gives up after 30
ROUNDED = {"rounded_rows_come_close": 0.5, "autocast": 0.02, "every_backend": 1e-5}


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """ranks -> case -> what each rank wrote; processes start when first asked for."""
    known = {}

    def of(ranks: int) -> dict[str, list[dict]]:
        if ranks not in known:
            known[ranks] = run_cases(ranks, tmp_path_factory.mktemp(f"ranks{ranks}"))
        return known[ranks]

    return of


def run_cases(ranks: int, folder: Path) -> dict[str, list[dict]]:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, parallel_cases.__file__]
    processes = [
        subprocess.Popen([*command, str(rank), str(ranks), folder], env=environment)
        for rank in range(ranks)
    ]
    try:
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            codes = [process.poll() for process in processes]
            if any(codes) or None not in codes:  # a failure, or all are done
                break
            time.sleep(0.05)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    answers: dict[str, list[dict]] = {}
    for file in sorted(folder.glob(f"{ranks}.*.jsonl")):
        for line in file.read_text().splitlines():
            answer = json.loads(line)
            answers.setdefault(answer["case"], []).append(answer)
    return answers


@pytest.mark.parametrize("name", parallel_cases.CASES)
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_equals_one_process(results, ranks, name):
    answers = results(ranks).get(name, [])
    errors = [answer["error"] for answer in answers if "error" in answer]
    assert not errors, errors
    assert len(answers) == ranks, "not all ranks came to the end of this case"
    allowed = 1e-5 if "float32" in name else 1e-10
    assert max(a["difference"] for a in answers) <= ROUNDED.get(name, allowed)


def test_without_processes():
    moe = MoE(TopKRouter(4, 2), Experts(2, 4, 4))
    assert not torch.distributed.is_initialized()
    with pytest.raises(ValueError, match=r"init_process_group.*") as caught:
        ExpertParallel(moe)
    assert "torchrun" in str(caught.value)
