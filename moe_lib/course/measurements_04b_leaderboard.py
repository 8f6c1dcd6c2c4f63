"""The measurement behind chapter 4b's leaderboard: what the course enters itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from moe_lib.course.leaderboard import (
    SCHEDULES,
    baseline_step,
    entry_of,
    train_entry,
)
from moe_lib.course.stored_results import Measurement
from moe_lib.course.switch_setup import Setup, as_much_arithmetic
from moe_lib.data.text import load_text

PLAIN = Setup(lr=0.01)
#: Name -> setup and schedule; the last one is the course's own attempt to win.
ENTRIES = {
    "dense": (as_much_arithmetic(PLAIN), "warm-up"),
    "Switch, 16 experts": (PLAIN, "warm-up"),
    "Switch, falling rate": (PLAIN.but(lr=0.02), "down to zero"),
}
BASELINES = tuple(ENTRIES)[:2]


def measure_leaderboard(
    config: Mapping[str, Any], seeds: Sequence[int]
) -> dict[str, list[float]]:
    """Each field of a `Result` as "name: field"; "step": the baseline's seconds."""
    text = load_text(config["bytes"])
    columns = {"step": []}
    for seed in seeds:
        columns["step"].append(baseline_step(text))
        for name, (setup, schedule) in config["entries"].items():
            made = Setup(**setup)
            result = train_entry(
                lambda made=made, rate=SCHEDULES[schedule]: entry_of(made, rate),
                text, seed, seconds=config["seconds"], label=name,
            )  # fmt: skip
            for what, value in asdict(result).items():
                columns.setdefault(f"{name}: {what}", []).append(value)
    return columns


MEASUREMENTS = (
    Measurement(
        "04b-leaderboard",
        "three entries to the leaderboard, a minute each",
        {
            "version": 1, "bytes": 2_600_000, "seconds": 60,
            "entries": {
                name: (setup.config, how) for name, (setup, how) in ENTRIES.items()
            },
        },
        range(3), 1, measure_leaderboard,
    ),
)  # fmt: skip
