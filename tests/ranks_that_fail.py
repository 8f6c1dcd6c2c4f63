"""A script for torchrun that goes wrong in the way that its first argument names."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from moe_lib.experts import Experts
from moe_lib.launching import start_rank
from moe_lib.layer import MoE
from moe_lib.parallel import ExpertParallel
from moe_lib.routers import TopKRouter


def exchange_for_ever():
    while True:
        rows = torch.ones(4, 8)
        dist.all_to_all_single(torch.empty_like(rows), rows)


def compute_for_ever():
    while True:
        torch.ones(64, 64) @ torch.ones(64, 64)


def main(case, folder):
    Path(folder, os.environ["RANK"]).touch()  # imported, and about to start
    if case == "comes late" and os.environ["RANK"] == "1":
        time.sleep(1000)
    needed = 4 if case == "needs four" else None
    rank, _, _ = start_rank(ranks=needed, timeout=1.0 if case == "comes late" else 20.0)
    if case == "has a child":
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        Path(folder, f"child of {rank}").touch()
    if rank == 1:
        if case.startswith("is killed"):
            time.sleep(0.2)  # the other one is busy, or waits for this one
            os.kill(os.getpid(), signal.SIGKILL)
        if case == "kills torchrun":
            os.kill(os.getppid(), signal.SIGKILL)
    if case == "has too few experts":
        torch.manual_seed(0)
        ExpertParallel(MoE(TopKRouter(8, 3), Experts(3, 8, 16)))
    if case == "is killed while the other computes":
        compute_for_ever()
    exchange_for_ever()


if __name__ == "__main__":
    main(*sys.argv[1:])
