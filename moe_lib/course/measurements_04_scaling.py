"""The long measurements of chapter 4: experts at equal arithmetic, and table 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from moe_lib.course.columns import Config, by_seed
from moe_lib.course.stored_results import Measurement
from moe_lib.course.switch_runs import SwitchRun, train_in_turns
from moe_lib.course.switch_setup import Setup, as_much_arithmetic
from moe_lib.data.text import load_text

EXPERTS = (2, 4, 8, 16, 32)
FACTORS = (2, 1.25, 1)


def arms(base: Setup, dense_rates: Sequence[float]) -> dict[str, Setup]:
    """Everything that is compared, by name.

    "dense at RATE": at least the arithmetic of the largest mixture. "large at RATE":
    twice as wide, between three and four times the arithmetic, as T5-Large is to
    T5-Base. "switch E": at the usual capacity factor. "switch 16, FACTOR" and
    "top-2, FACTOR": the rows of table 1.
    """
    dense = as_much_arithmetic(base.but(num_experts=max(EXPERTS)))
    large = dense.but(d_model=2 * base.d_model, d_ff=2 * dense.d_ff)
    setups = {f"dense at {rate:g}": dense.but(lr=rate) for rate in dense_rates}
    setups |= {f"large at {rate:g}": large.but(lr=rate) for rate in dense_rates[:2]}
    setups |= {f"switch {e}": base.but(num_experts=e) for e in EXPERTS}
    for factor in FACTORS:
        changed = base.but(capacity_factor=factor)
        if changed != base:
            setups[f"switch {base.num_experts}, {factor:g}"] = changed
        setups[f"top-2, {factor:g}"] = changed.but(router="top-2")
    return setups


def run_columns(runs: Mapping[str, SwitchRun]) -> dict[str, Tensor]:
    """Of one seed: "arm: bits" and "arm: seconds" ``[C]`` at the checkpoints, and
    "arm: dropped", the share of the choices since the checkpoint before."""
    columns = {}
    for name, run in runs.items():
        columns[f"{name}: bits"] = run.bits
        columns[f"{name}: seconds"] = run.seconds
        if not run.setup.dense:
            dropped = run.history["drop_fraction"].mean(dim=1)  # [steps]
            starts = (0, *run.steps[:-1])
            columns[f"{name}: dropped"] = torch.stack(
                [dropped[a:b].mean() for a, b in zip(starts, run.steps, strict=True)]
            )
    return columns


def measure_scaling(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """As `run_columns`; all arms of a seed train in turns."""
    text = load_text()
    setups = arms(Setup(**config["base"]), config["dense_rates"])
    marks = config["checkpoints"]
    return by_seed(
        seeds, lambda seed: run_columns(train_in_turns(setups, text, seed, marks))
    )


SCALING = Measurement(
    "04-scaling",
    "a transformer: 1 to 32 experts at equal arithmetic, and table 1 of Switch",
    {
        "version": 1, "base": Setup(steps=1000).config,
        "dense_rates": (0.007, 0.014, 0.028), "checkpoints": range(100, 1001, 100),
    },
    range(3), 1, measure_scaling,
)  # fmt: skip
MEASUREMENTS = (SCALING,)
