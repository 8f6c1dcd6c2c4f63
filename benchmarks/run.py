"""Build the candidates of each case, check them, time them."""

from __future__ import annotations

import argparse
import datetime
import gc
import importlib.metadata
import platform
from dataclasses import asdict

import torch
from tqdm.auto import tqdm

from benchmarks.candidates import OWN, Candidate
from benchmarks.memory import growth_in_a_process, peak_bytes
from benchmarks.peers import INSTALL, PEERS
from benchmarks.shapes import Bank, Shape
from benchmarks.targets import BOTH, FORWARD, Case, cases, targets
from benchmarks.timing import Timer, clock_name, measured_rounds, timer

BUILDERS = {**OWN, **PEERS}
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 1e-1, torch.float16: 1e-2}


def run(wanted: argparse.Namespace) -> dict:
    """All that was measured, as plain data; stopped with Ctrl-C, what there is."""
    device = wanted.device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = getattr(
        torch, wanted.dtype or ("float32" if device == "cpu" else "bfloat16")
    )
    size = dict(d_model=wanted.d_model, d_ff=wanted.d_ff)
    if wanted.tokens:
        size["num_tokens"] = wanted.tokens
    every = cases(size, wanted.quick)
    starts = tuple(wanted.only) or ("",)
    chosen = [case for case in every if case.name.startswith(starts)]
    if not chosen:
        names = ", ".join(case.name for case in every)
        raise SystemExit(f"--only {wanted.only}: no such case; there are: {names}")
    results = {
        "how": how(wanted, device, dtype),
        "targets": [asdict(target) for target in targets(chosen)],
        "cases": [],
        "skipped": {},
    }
    try:
        for threads in wanted.threads:
            torch.set_num_threads(threads)
            for case in tqdm(chosen, desc=f"{threads} threads", unit="case"):
                candidates = build(case, device, dtype, results["skipped"])
                record = {
                    "name": case.name,
                    "mode": case.mode,
                    "threads": threads,
                    "shapes": {k: asdict(case.entries[k][1]) for k in candidates},
                    "seconds": {label: [] for label in candidates},
                    "peak_bytes": {},
                }
                results["cases"].append(record)
                time_candidates(
                    candidates, record, wanted.rounds, timer(device, threads)
                )
                if case.mode == BOTH and threads == wanted.threads[0]:
                    for label, candidate in candidates.items():
                        record["peak_bytes"][label] = peak_bytes(candidate, device)
                del candidates  # before the next case needs the memory
                gc.collect()
        if not wanted.quick and not wanted.only:
            results["growth"] = growth_in_a_process(device)
    except KeyboardInterrupt:
        results["how"]["stopped"] = "with Ctrl-C, before the end"
    return results


def time_candidates(
    candidates: dict[str, Candidate], record: dict, rounds: int, seconds: Timer
) -> None:
    """Fill ``record["seconds"]``, round by round."""
    steps = {
        label: one.forward if record["mode"] == FORWARD else one.forward_backward
        for label, one in candidates.items()
    }
    with tqdm(total=rounds, desc=record["name"], leave=False, unit="round") as bar:
        for this in measured_rounds(steps, rounds, seconds):
            for label, value in this.items():
                record["seconds"][label].append(value)
            bar.update()


def build(
    case: Case, device: str, dtype: torch.dtype, skipped: dict[str, str]
) -> dict[str, Candidate]:
    """The case's candidates, checked; why others are left out goes to ``skipped``."""
    candidates: dict[str, Candidate] = {}
    banks: dict[Shape, Bank] = {}
    for label, (name, shape) in case.entries.items():
        if shape not in banks:
            banks[shape] = Bank(shape, device, dtype)
        try:
            candidate = BUILDERS[name](banks[shape])
            check(candidate, f"{label} ({shape})", dtype)
        except ModuleNotFoundError as error:
            package = (error.name or "").split(".")[0]
            if package not in INSTALL:
                raise
            skipped[name] = INSTALL[package]
        except RuntimeError as error:
            if name not in PEERS:
                raise
            skipped[name] = f"fails in {dtype}: {error}".splitlines()[0]
        else:
            candidates[label] = candidate
    return candidates


def check(candidate: Candidate, name: str, dtype: torch.dtype) -> None:
    """Refuse to time a candidate that computes something else."""
    if (error := candidate.error()) > TOLERANCE[dtype]:
        raise ArithmeticError(f"{name}: output off by {error:.2g} of its scale")


def how(wanted: argparse.Namespace, device: str, dtype: torch.dtype) -> dict[str, str]:
    """The conditions of the measurement, for the reader."""
    packages = ("transformers", "mixture-of-experts", "labml-nn")
    clocks = {f"{n}: {clock_name(device, n)}" for n in wanted.threads}
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"),
        "device": device,
        "machine": machine(device),
        "torch": torch.__version__,
        "peers": ", ".join(f"{p} {version(p)}" for p in packages),
        "dtype": str(dtype).removeprefix("torch."),
        "rounds": str(wanted.rounds),
        "clock": "threads " + ", ".join(sorted(clocks)),
        "order": "all warmed up, then each candidate once a round, order rotating",
        "ratio": "median over the rounds of the round's ratio [quartiles]",
        "malloc": {
            "keep": "MALLOC_MMAP_MAX_=0, no trimming: freed memory is kept",
            "default": "the system's own",
        }[wanted.malloc],
        "2 threads": "OMP_WAIT_POLICY=passive",
    }


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def machine(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as lines:
            names = [line.split(":")[1] for line in lines if "model name" in line]
        model = f"{len(names)} x {names[0].strip()}"
    except (OSError, IndexError):
        pass
    return f"{model}, {torch.backends.cpu.get_cpu_capability()}"
