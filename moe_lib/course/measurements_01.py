"""The long measurements of chapter 1: its races and its interference, 100 seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from torch import Tensor

from moe_lib.course.interference import SCALE, interference
from moe_lib.course.stored_results import Measurement
from moe_lib.course.vowel_race import STOP_AT, TABLE_1, System, race
from moe_lib.data.vowels import VOWELS_OF_1991, load_vowels

SEEDS = range(100)
#: Table 1, then BP at twice the step, then the two other losses.
RACES = (
    *({**asdict(system), "lr": 0.5} for system in TABLE_1),
    *(
        {**asdict(system), "name": f"{system.name}, doubled", "lr": 1.0}
        for system in TABLE_1[2:]
    ),
    *(
        {**asdict(System(f"4 experts, {loss}", 4, loss=loss)), "lr": 0.5}
        for loss in ("competitive", "cooperative")
    ),
)
STEPS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


def measure_race(config: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, Tensor]:
    """Columns "SYSTEM: epochs", train, test (shares) and, of experts, survivors."""
    vowels, columns = load_vowels(config["vowels"]), {}
    for entry in config["races"]:
        settings = dict(entry)
        lr = settings.pop("lr")
        system = System(**settings)
        result = race(
            system, vowels, seeds=seeds, lr=lr, max_epochs=config["max_epochs"]
        )
        for name in ("epochs", "train", "test"):
            columns[f"{system.name}: {name}"] = getattr(result, name)
        if system.experts:
            columns[f"{system.name}: survivors"] = result.survivors
    return columns


def measure_steps(config: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, Tensor]:
    """Columns "SYSTEM: lr STEP" with the epochs, NaN where a run never arrived."""
    vowels = load_vowels(config["vowels"])
    return {
        f"{entry['name']}: lr {lr:g}": race(
            System(**entry), vowels, seeds=seeds, lr=lr,
            max_epochs=config["max_epochs"],
        ).epochs
        for entry in config["systems"]
        for lr in config["steps"]
    }  # fmt: skip


def measure_interference(
    config: Mapping[str, Any], seeds: Sequence[int]
) -> dict[str, Tensor]:
    """Columns "net", "weak" and "strong": growth of the error on task A."""
    result = interference(seeds=seeds, learn=config["learn"], relearn=config["relearn"])
    return {name: result.damage(name) for name in ("net", "weak", "strong")}


VOWELS = {"vowels": list(VOWELS_OF_1991), "stop at error": STOP_AT}
RACE = Measurement(
    "01-race",
    "table 1 of 1991, BP at twice the step, two other losses",
    {"version": 1, **VOWELS, "races": RACES, "max_epochs": 6000},
    SEEDS, 25, measure_race,
)  # fmt: skip
BEST_STEP = Measurement(
    "01-best-step",
    "4 experts and BP with 6 hidden units at six step sizes",
    {
        "version": 1, **VOWELS, "steps": STEPS, "max_epochs": 450,
        "systems": [asdict(TABLE_1[0]), asdict(TABLE_1[2])],
    },
    SEEDS, 50, measure_steps,
)  # fmt: skip
INTERFERENCE = Measurement(
    "01-interference",
    "two tasks in one net and in mixtures",
    {"version": 1, "learn": 300, "relearn": 60, "scale": SCALE},
    SEEDS, 100, measure_interference,
)  # fmt: skip
MEASUREMENTS = (RACE, BEST_STEP, INTERFERENCE)
