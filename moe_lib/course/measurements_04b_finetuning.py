"""The measurement behind chapter 4b's expert dropout: small tasks, Table 4's rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moe_lib.course.columns import Columns, Config
from moe_lib.course.fine_tuning import FineTuned, FineTuning, fine_tune
from moe_lib.course.stored_results import Measurement
from moe_lib.course.switch_runs import train_in_turns
from moe_lib.course.switch_setup import Setup, as_much_arithmetic
from moe_lib.data.tasks import load_task
from moe_lib.data.text import load_text

TASKS = ("docstring to library", "name to kind", "name to language")
#: Setting -> (pre-trained model, dropout, expert dropout), in the paper's order.
ARMS = {
    "dense, d 0": ("dense", 0.0, None),
    "dense, d 0.1": ("dense", 0.1, None),
    "Switch, d 0": ("switch", 0.0, None),
    "Switch, d 0.1": ("switch", 0.1, None),
    "Switch, d 0.2": ("switch", 0.2, None),
    "Switch, d 0.3": ("switch", 0.3, None),
    "Switch, d 0.1, experts 0.4": ("switch", 0.1, 0.4),
}
JUDGED = ("test accuracy", "train accuracy", "test loss", "train loss")


def over_tasks(columns: Columns, what: str) -> dict[str, Tensor]:
    """Arm -> ``[S]``, the mean over the tasks, as the paper averages GLUE's."""
    names = [name.split(": ") for name in dict(columns)]
    tasks = {arm: [] for arm, _, _ in (n for n in names if len(n) == 3)}
    for arm, task, judged in (n for n in names if len(n) == 3):
        if judged == what:
            tasks[arm].append(columns[f"{arm}: {task}: {judged}"])
    return {arm: torch.stack(values).mean(dim=0) for arm, values in tasks.items()}


def measure_fine_tuning(config: Config, seeds: Sequence[int]) -> dict[str, list[float]]:
    """ "arm: task: what" for each of `JUDGED`, and "model: bits" before it.

    Each seed pre-trains its own two models; its arms start from copies of them.
    """
    text = load_text(config["bytes"])
    tasks = [load_task(name, **config["examples"]) for name in config["tasks"]]
    switch = Setup(**config["base"])
    setups = {"dense": as_much_arithmetic(switch), "switch": switch}
    base, columns = FineTuning(**config["fine_tuning"]), {}

    def keep(name: str, value: float) -> None:
        columns.setdefault(name, []).append(value)

    for seed in seeds:
        runs = train_in_turns(setups, text, seed)
        for name, run in runs.items():
            keep(f"{name}: bits", run.bits[-1].item())
        for arm, (start, dropout, expert_dropout) in config["arms"].items():
            setting = base.but(dropout=dropout, expert_dropout=expert_dropout)
            for task in tasks:
                tuned = fine_tune(runs[start].model, task, setting, seed)
                for what in JUDGED:
                    keep(f"{arm}: {task.name}: {what}", _found(tuned, what))
    return columns


def _found(tuned: FineTuned, what: str) -> float:
    return getattr(tuned, what.replace(" ", "_"))


MEASUREMENTS = (
    Measurement(
        "04b-finetuning",
        "three small tasks after pre-training: dropout, and dropout of experts",
        {
            "version": 1, "bytes": 2_600_000, "base": Setup(steps=400, lr=0.01).config,
            "tasks": TASKS, "arms": ARMS, "fine_tuning": FineTuning().config,
            "examples": {"max_per_class": 360, "test_share": 300 / 360},
        },
        range(3), 1, measure_fine_tuning,
    ),
)  # fmt: skip
