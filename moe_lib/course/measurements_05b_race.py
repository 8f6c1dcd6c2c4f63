"""The long race of chapter 5b: all routers, telling next bytes and hidden ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moe_lib.course.columns import Config, by_seed
from moe_lib.course.leak_runs import step_by_step_bits
from moe_lib.course.race_runs import race_columns, run_race
from moe_lib.course.race_setup import Setup, field
from moe_lib.course.stored_results import Measurement
from moe_lib.data.text import load_text

MARKS = (60, 120, 240, 360, 480, 600)


def measure_race(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """As `race_columns`. Of a decoder with expert choice also "expert choice: step by
    step", its bits where nothing ahead is there to be seen."""
    text, setups = load_text(), field(Setup(**config["base"]))

    def columns_of(seed: int) -> dict[str, Tensor]:
        runs = run_race(setups, text, seed, config["checkpoints"])
        columns = race_columns(runs)
        if not config["base"]["masked"]:
            model = runs["expert choice"].model
            bits = step_by_step_bits(model, text)
            columns["expert choice: step by step"] = torch.as_tensor(bits)
        return columns

    return by_seed(seeds, columns_of)


def _race(name: str, title: str, masked: bool) -> Measurement:
    base = Setup(masked=masked, steps=MARKS[-1])
    config = {"version": 1, "base": base.config, "checkpoints": MARKS}
    return Measurement(name, title, config, range(3), 1, measure_race)


CAUSAL = _race("05b-race-causal", "the race of all routers: the next byte", False)
MASKED = _race("05b-race-masked", "the race of all routers: hidden bytes", True)
MEASUREMENTS = (CAUSAL, MASKED)
