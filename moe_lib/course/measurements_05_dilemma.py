"""The measurement of the dilemma that expert choice removes: how large a loss?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from moe_lib.course.byte_runs import balance
from moe_lib.course.columns import Config, by_seed
from moe_lib.course.expert_similarity import expert_similarity, mean_of_pairs
from moe_lib.course.placed import routing_of
from moe_lib.course.race_runs import heldout_batch, race_columns
from moe_lib.course.race_setup import Setup, choosing
from moe_lib.course.stored_results import Measurement
from moe_lib.course.switch_runs import train_in_turns
from moe_lib.data.text import load_text

COEFFICIENTS = (0, 0.0001, 0.001, 0.01, 0.1, 1)
CHOICE = "expert choice"


def measure_dilemma(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """Of each coefficient of top-2's loss, such as "0.01", and of `CHOICE`: as
    `race_columns`, `balance` on held-out texts, "similarity" of the experts.

    "untrained: similarity" is of expert choice's model before its training.
    """
    text, base = load_text(), Setup(**config["base"])
    setups = {
        f"{w:g}": choosing(base, "GShard", 2, w_balance=w)
        for w in config["coefficients"]
    }
    setups[CHOICE] = choosing(base, CHOICE, 2)
    inputs = heldout_batch(text, masked=True)

    def alike(model: nn.Module) -> Tensor:
        return torch.tensor(mean_of_pairs(expert_similarity(model, base, text)))

    def judge(model: nn.Module) -> dict[str, Tensor]:
        found = balance(routing_of(model, inputs))
        even = {name: torch.tensor(value) for name, value in found.items()}
        return {**even, "similarity": alike(model)}

    def columns_of(seed: int) -> dict[str, Tensor]:
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # as the trainers start
            start = alike(setups[CHOICE].build())
        runs = train_in_turns(setups, text, seed, judge=judge)
        return {**race_columns(runs), "untrained: similarity": start}

    return by_seed(seeds, columns_of)


MEASUREMENTS = (
    Measurement(
        "05-dilemma",
        "coefficients of top-2's balancing loss, and expert choice without one",
        {
            "version": 1, "base": Setup(masked=True, steps=300).config,
            "coefficients": COEFFICIENTS,
        },
        range(3), 1, measure_dilemma,
    ),
)  # fmt: skip
