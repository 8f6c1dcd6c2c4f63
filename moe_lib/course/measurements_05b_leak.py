"""The long measurement of the leak: each way to choose, read and written."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from moe_lib.course.columns import Config, by_seed
from moe_lib.course.leak_runs import leak_columns
from moe_lib.course.leak_setup import Setup, ways_to_choose
from moe_lib.course.race_runs import load_judge
from moe_lib.course.stored_results import Measurement
from moe_lib.course.switch_runs import train_in_turns
from moe_lib.data.text import load_text


def measure_leak(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """As `leak_columns`; all ways of a seed train in turns."""
    text, setups = load_text(), ways_to_choose(Setup(**config["base"]))
    judge = load_judge(text, masked=False)

    def columns_of(seed: int) -> dict[str, Tensor]:
        runs = train_in_turns(setups, text, seed, judge=judge)
        return leak_columns(runs, text, config)

    return by_seed(seeds, columns_of)


LEAK = Measurement(
    "05b-leak",
    "the leak: bits of a text that is read, and of one that is written",
    {"version": 1, "base": Setup(steps=400).config, "texts": 256, "texts alone": 32},
    range(3), 1, measure_leak,
)  # fmt: skip
MEASUREMENTS = (LEAK,)
