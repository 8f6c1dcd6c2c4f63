"""``python -m benchmarks``: measure, print the table, write the figure and the data."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

# glibc gives large tensors back to the system and fetches them anew, page by page, at
# every step. That can cost more than the arithmetic, and hits candidates unequally:
# "keep" leaves freed memory in the process.
MALLOC = {
    "keep": {
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(2**40),
        "MALLOC_TOP_PAD_": str(64 * 2**20),
    },
    "default": {},
}
QUIET = {
    "OMP_WAIT_POLICY": "passive",  # waiting threads do not burn a busy machine's time
    "KINETO_LOG_LEVEL": "99",
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="the main shape only")
    add("--device", choices=("cpu", "cuda"), help="cuda where there is one")
    add("--dtype", choices=("float32", "bfloat16", "float16"),
        help="float32; bfloat16 on cuda")  # fmt: skip
    add("--threads", type=int, nargs="+", default=[1], help="CPU threads, in turn")
    add("--rounds", type=int, default=7)
    add("--malloc", choices=MALLOC, default="default", help="keep freed memory, or not")
    add("--only", nargs="+", default=[], help="cases whose names start so")
    add("--tokens", type=int, help="instead of 2048 (and of the sweep's)")
    add("--d-model", type=int, default=256)
    add("--d-ff", type=int, default=1024)
    add("--out", type=Path, default=Path("benchmarks/results"), help="a folder")
    add("--show", type=Path, help="print and draw this JSON file again")
    return parser.parse_args()


def started_again(wanted: argparse.Namespace) -> None:
    """The same command in the environment that malloc and OpenMP read at start."""
    usual = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    threads = {"OMP_NUM_THREADS": str(max(wanted.threads))}
    marked = {"BENCHMARKS_MALLOC": wanted.malloc}
    environment = usual | QUIET | MALLOC[wanted.malloc] | threads | marked
    command = [sys.executable, "-m", "benchmarks", *sys.argv[1:]]
    os.execve(sys.executable, command, environment)


def main() -> None:
    wanted = arguments()
    if os.environ.get("BENCHMARKS_MALLOC") != wanted.malloc:
        started_again(wanted)
    from benchmarks import report, run

    results = json.loads(wanted.show.read_text()) if wanted.show else run.run(wanted)
    print(report.text(results))
    for path in report.write(results, wanted.out):
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
