"""The measurement of chapter 5's encoders: hidden bytes first, then four tasks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moe_lib.course.columns import Config, by_seed
from moe_lib.course.fine_tuning import FineTuning, fine_tune
from moe_lib.course.placed import routing_of
from moe_lib.course.race_runs import heldout_batch, race_columns, run_race
from moe_lib.course.race_setup import Setup, choosing
from moe_lib.course.stored_results import Measurement
from moe_lib.course.switch_setup import as_much_arithmetic
from moe_lib.data.tasks import TASKS, load_task
from moe_lib.data.text import load_text
from moe_lib.routing import Routing

MARKS = (100, 200, 300, 400)
MOST = 5  # experts of a token that are counted apart; the last count is of 5 or more
TOP_2, CHOICE = "top-2 + loss", "expert choice 2"
#: Mixtures of the same weights: arm -> (router, experts of a token, its most).
MIXTURES = {
    "top-1 + loss": ("Switch", 1, None),
    TOP_2: ("GShard", 2, None),
    "hash": ("hash", 1, None),
    "expert choice 0.5": ("expert choice", 0.5, None),
    "expert choice 1": ("expert choice", 1, None),
    CHOICE: ("expert choice", 2, None),
    f"{CHOICE}, cap 2": ("expert choice", 2, 2),
    f"{CHOICE}, cap 3": ("expert choice", 2, 3),
}
HALF = "expert choice 0.5, half the work"
ARMS = ("dense", *MIXTURES, HALF)


def arms(base: Setup, cap_iterations: int) -> dict[str, Setup]:
    """All of `ARMS`, of the same arithmetic and, but for the dense one, weights.

    The last one keeps the base's experts, so that its tokens get half of one.
    """
    mixtures = {
        name: choosing(base, router, each, cap=cap, cap_iterations=cap_iterations)
        for name, (router, each, cap) in MIXTURES.items()
    }
    most = max(mixtures.values(), key=lambda setup: setup.flops)
    half = base.but(router="expert choice", experts_per_token=0.5)
    return {"dense": as_much_arithmetic(most), **mixtures, HALF: half}


def served(routing: Routing) -> Tensor:
    """Shares of tokens with 0, 1, ... `MOST` or more experts, ``[MOST + 1]``."""
    rows = routing.token_index[routing.kept]
    counts = rows.bincount(minlength=routing.num_tokens).clamp(max=MOST)
    return counts.bincount(minlength=MOST + 1) / routing.num_tokens


def measure_pretraining(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """Of each arm as `race_columns`, "arm: served" and, of each task, "arm: task:
    test accuracy" and "train accuracy". All arms of a seed train in turns."""
    text = load_text()
    setups = arms(Setup(**config["base"]), config["cap_iterations"])
    tasks = [load_task(name, **config["examples"]) for name in config["tasks"]]
    setting = FineTuning(**config["fine_tuning"])

    def columns_of(seed: int) -> dict[str, Tensor]:
        runs = run_race(setups, text, seed, config["checkpoints"])
        columns = race_columns(runs)
        for name, run in runs.items():
            if not run.setup.dense:
                routing = routing_of(run.model, heldout_batch(text, masked=True))
                columns[f"{name}: served"] = served(routing)
            loss = config["w_balance"] if run.setup.losses else 0.0
            for task in tasks:
                tuned = fine_tune(run.model, task, setting.but(w_balance=loss), seed)
                for side in ("test", "train"):
                    right = torch.tensor(getattr(tuned, f"{side}_accuracy"))
                    columns[f"{name}: {task.name}: {side} accuracy"] = right
        return columns

    return by_seed(seeds, columns_of)


MEASUREMENTS = (
    Measurement(
        "05-pretraining",
        "hidden bytes, then four tasks: expert choice against choosing tokens",
        {
            "version": 1, "base": Setup(masked=True, steps=MARKS[-1]).config,
            "checkpoints": MARKS, "cap_iterations": 12,
            "tasks": tuple(TASKS),
            "examples": {"max_per_class": 180, "test_share": 2 / 3},
            "fine_tuning": FineTuning(steps=100).config, "w_balance": 0.01,
        },
        range(3), 1, measure_pretraining,
    ),
)  # fmt: skip
