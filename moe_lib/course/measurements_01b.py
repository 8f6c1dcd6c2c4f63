"""The long measurements of chapter 1b: robot arm, deep mixture, hard gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from moe_lib.course.columns import Config
from moe_lib.course.em_race import ArmTable, arm_table
from moe_lib.course.hard_gate_race import (
    GateErrors,
    estimator_errors,
    train_hard_gates,
)
from moe_lib.course.stored_results import Measurement
from moe_lib.course.where_and_what import EXPERTS, WhereWhat, train_deep_mixture
from moe_lib.data.shifted_digits import shifted_digits


def arm_columns(arm: ArmTable) -> dict[str, Tensor]:
    """Relative errors at the end, and passes to half of the linear fit's error."""
    half = (arm.linear / 2).item()
    curves = {"tree": arm.tree, "BP": arm.nets[0]}
    columns = {"linear: error": arm.linear.expand(arm.tree.values.shape[1])}
    for name, curve in curves.items():
        columns[f"{name}: error"] = curve.values[-1]
        columns[f"{name}: passes"] = curve.passes_to(half, falling=True)
    return columns


def deep_columns(
    balanced: Sequence[WhereWhat], alone: Sequence[WhereWhat]
) -> dict[str, Tensor]:
    """Nats about place and digit for each layer; experts left in layer 2 alone."""
    columns = {}
    for layer in range(len(EXPERTS)):
        for name in ("where", "what"):
            nats = [getattr(run, name)[layer] for run in balanced]
            columns[f"layer {layer + 1}: {name}"] = torch.tensor(nats).double()
    columns["unbalanced: used"] = torch.tensor([run.used[1] for run in alone]).double()
    return columns


def gate_columns(
    errors: GateErrors, trained: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """REINFORCE's relative bias, and the test losses in the end."""
    return {
        "REINFORCE: bias": errors.bias["REINFORCE"],
        "REINFORCE, baseline: loss": trained["REINFORCE, baseline"][-1],
        "straight-through: loss": trained["straight-through"][-1],
    }


def measure_arm(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """As `arm_columns`."""
    settings = {name: config[name] for name in ("iterations", "steps")}
    return arm_columns(arm_table(seeds, **settings))


def measure_deep(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """As `deep_columns`."""
    train, test = shifted_digits(max_shift=config["max_shift"])
    settings = {name: config[name] for name in ("steps", "lift", "batch_size", "lr")}
    balanced, alone = (
        [
            train_deep_mixture(train, test, seed=seed, margin=margin, **settings)
            for seed in seeds
        ]
        for margin in (config["margin"], float("inf"))
    )
    return deep_columns(balanced, alone)


def measure_gates(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """As `gate_columns`."""
    settings = {name: config[name] for name in ("steps", "rates", "batch_size")}
    return gate_columns(
        estimator_errors(seeds, config["draws"]), train_hard_gates(seeds, **settings)
    )


ARM = Measurement(
    "01b-arm",
    "EM and back-propagation on the robot arm",
    {"version": 1, "iterations": 35, "steps": 400},
    range(30), 10, measure_arm,
)  # fmt: skip
DEEP = Measurement(
    "01b-deep",
    "where and what in the deep mixture, with and without balancing",
    {
        "version": 1, "experts": EXPERTS, "max_shift": 2, "margin": 100.0,
        "steps": 4000, "lift": 0.5, "batch_size": 128, "lr": 0.15,
    },
    range(10), 1, measure_deep,
)  # fmt: skip
GATES = Measurement(
    "01b-gates",
    "hard gates: bias of the estimates, and what they learn",
    {
        "version": 1, "draws": 4000, "steps": 600, "rates": (0.01, 0.03, 0.1),
        "batch_size": 32,
    },
    range(100), 100, measure_gates,
)  # fmt: skip
MEASUREMENTS = (ARM, DEEP, GATES)
