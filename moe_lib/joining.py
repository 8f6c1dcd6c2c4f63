"""What a script does first under torchrun: join the other ranks."""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType

import torch
import torch.distributed as dist

from moe_lib.checks import require_positive

#: Environment variable of all processes of a `run_ranks`: the folder of its notes.
MARK = "MOE_LIB_RANKS"


def start_rank(
    *, ranks: int | None = None, timeout: float = 20.0
) -> tuple[int, int, torch.device]:
    """Join the other ranks: ``(rank, ranks, device)``, for a script under torchrun.

    The process group is NCCL where every rank of this machine has a GPU of its own,
    else gloo on the CPU. It is destroyed when the script ends, and the script ends when
    torchrun or the notebook is gone.

    Args:
        ranks: how many the script needs; None takes as many as there are.
        timeout: seconds that this rank waits for others, here and in each exchange.

    Raises:
        RuntimeError: not started by torchrun.
        ValueError: another number of ranks than ``ranks``.
        TimeoutError: not all ranks came in time.
    """
    require_positive("timeout", timeout)
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    if any(name not in os.environ for name in names):
        raise RuntimeError(
            "this process is no rank: start the script with"
            f" torchrun --nproc-per-node {ranks or 2} SCRIPT, or with run_ranks"
        )
    rank, started, local, neighbours = (int(os.environ[name]) for name in names)
    _note_errors(rank)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    if ranks not in (None, started):
        raise ValueError(
            f"this script needs {ranks} ranks but {started} were started: give"
            f" --nproc-per-node {ranks}, or ranks={ranks} to run_ranks"
        )
    device, backend = torch.device("cpu"), "gloo"
    if torch.cuda.device_count() >= neighbours:
        device, backend = torch.device("cuda", local), "nccl"
        torch.cuda.set_device(device)
    dist.init_process_group(
        backend,
        store=_meeting_point(started, timeout),
        rank=rank,
        world_size=started,
        timeout=timedelta(seconds=timeout),
    )
    _note(f"rank-{rank}.started", str(time.time()))
    atexit.register(_leave, rank)
    return rank, started, device


def _meeting_point(ranks: int, timeout: float) -> dist.Store:
    """The store of all ranks, once all of them have come to it."""
    place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    remedy = (
        "look for the others' own errors, start all hosts together, or give"
        " start_rank a longer timeout"
    )
    try:
        limit = timedelta(seconds=timeout)
        store, _, _ = next(dist.rendezvous("env://", timeout=limit))
        deadline = time.monotonic() + timeout
        store.add("arrived", 1)
        while (arrived := store.add("arrived", 0)) < ranks:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"only {arrived} of {ranks} ranks arrived within {timeout:g} s:"
                    f" {remedy}"
                )
            time.sleep(0.02)
    except dist.DistError as error:
        raise TimeoutError(
            f"nobody answers at {place} within {timeout:g} s: {remedy}"
        ) from error
    return store


def _end_with(parent: int) -> None:
    """End this process when torchrun ends, or the notebook that started it.

    torchrun puts each rank into a session of its own, so what ends torchrun does not
    reach them. `run_ranks` holds the other end of their standard input.
    """
    if MARK in os.environ:
        while os.read(0, 1):
            pass
    else:
        while os.getppid() == parent:
            time.sleep(0.5)
    os._exit(1)


def _note(name: str, text: str = "") -> None:
    """Tell `run_ranks`, if there is one; the file appears whole or not at all."""
    if MARK in os.environ:
        unfinished = Path(os.environ[MARK], f"{name}.tmp")
        unfinished.write_text(text)
        unfinished.rename(unfinished.with_suffix(""))


def _note_errors(rank: int) -> None:
    """Let `run_ranks` know the exception that ends this rank."""
    show = sys.excepthook

    def hook(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        words = str(error).strip().splitlines()[:1]
        line = ": ".join([kind.__name__, *words])
        _note(f"rank-{rank}.error", json.dumps([time.time(), rank, line]))
        atexit.unregister(_leave)  # the others do not come to take leave
        show(kind, error, trace)

    sys.excepthook = hook


def _leave(rank: int) -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
    _note(f"rank-{rank}.ended")
