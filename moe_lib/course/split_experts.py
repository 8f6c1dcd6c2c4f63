"""Experts on several processes: the same numbers? how many bytes? what sends less?

Two processes on this machine::

    torchrun --nproc-per-node 2 -m moe_lib.course.split_experts --out split.json

Two machines: this on both within a minute of each other, HOST being one of them::

    torchrun --nnodes 2 --nproc-per-node 1 --rdzv-backend c10d \\
        --rdzv-endpoint HOST:29400 --rdzv-conf join_timeout=60 \\
        -m moe_lib.course.split_experts --out split.json

Rank 0 writes the file; `moe_lib.course.split_run.SplitRun` reads it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
from pathlib import Path
from typing import Any

from torch import Tensor

from moe_lib.course.split_check import distance, on_all_ranks, worst_differences
from moe_lib.course.traffic_remedies import (
    Remedy,
    conversion_seconds,
    plain_and_remedies,
    some_tokens,
)
from moe_lib.launching import start_rank
from moe_lib.parallel import ExpertParallel
from moe_lib.recorder import Recorder


def main() -> None:
    options = parsed()
    rank, ranks, device = start_rank()
    tokens = options.tokens or [512] * ranks
    if len(tokens) != ranks:
        raise ValueError(
            f"--tokens has {len(tokens)} numbers but there are {ranks} ranks: give one"
            " for each"
        )

    def batch(number: int) -> Tensor:
        seed = number * ranks + rank
        return some_tokens(tokens[rank], seed).to(device).requires_grad_()

    def split(remedy: Remedy) -> ExpertParallel:
        moe = remedy.build(rank, ranks).to(device)
        return ExpertParallel(moe, payload=remedy.payload, recorder=Recorder())

    tried = plain_and_remedies(options.experts, ranks)
    tried = tried[:1] if options.plain else tried
    whole = tried[0].build(rank, ranks).to(device)
    found: dict[str, Any] = {
        "tokens": tokens,
        "differences": worst_differences(whole, split(tried[0]), batch(0)),
        "remedies": [vars(remedy) for remedy in tried],
        "steps": [],
    }
    layers = [(remedy, split(remedy)) for remedy in tried]
    for number in range(options.repeats + 1):
        of_plain = None
        for remedy, layer in layers:  # all of them in turn, so that none has the calm
            x = batch(number)
            layer.recorder.start()
            y, routing = layer(x)
            if rank == options.kill:
                os.kill(os.getpid(), signal.SIGKILL)
            y.backward(x.detach())  # any gradient will do
            record = layer.recorder.gathered()

            results = (y, x.grad)
            of_plain = of_plain or results
            kept = y.detach()[routing.token_index[routing.kept]]  # so many numbers go
            rows = routing.tokens_per_expert.view(ranks, -1).sum(dim=1).tolist()
            step = {
                "remedy": remedy.name,
                "events": record.events,
                "traffic": {kind: m.tolist() for kind, m in record.traffic.items()},
                "rows": on_all_ranks(rows),
                "converting": on_all_ranks(conversion_seconds(kept, remedy)),
                "distances": [distance(results[i], of_plain[i]) for i in (0, 1)],
            }
            if number:  # the first round warms up
                found["steps"].append(step)
    if rank == 0:
        Path(options.out).write_text(json.dumps(found))


def parsed() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="split.json", help="the file to write")
    parser.add_argument("--tokens", type=int, nargs="+", help="of each rank")
    parser.add_argument("--experts", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=7, help="batches to measure")
    parser.add_argument("--plain", action="store_true", help="without the remedies")
    parser.add_argument("--kill", type=int, help="a rank that dies in the first batch")
    return parser.parse_args()


if __name__ == "__main__":
    main()
