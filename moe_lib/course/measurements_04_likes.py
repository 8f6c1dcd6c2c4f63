"""The measurement behind chapter 4's question what the trained experts follow."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moe_lib.course.columns import Config, by_seed
from moe_lib.course.information import foretold, information
from moe_lib.course.placed import Placed, place
from moe_lib.course.racing import Racer
from moe_lib.course.stored_results import Measurement
from moe_lib.course.switch_runs import switch_trainer
from moe_lib.course.switch_setup import Setup
from moe_lib.data.text import load_text


def told_by(placed: Placed) -> dict[str, Tensor]:
    """What `information` and `foretold` find, by names like "bits, domain".

    Its tables are "bits", "chance", "most" and "foretold".
    """
    told = information(placed)
    tables = {"bits": told.bits, "chance": told.chance, "most": told.most}
    tables["foretold"] = foretold(placed)
    return {
        f"{what}, {label}": torch.tensor(value, dtype=torch.float64)
        for what, table in tables.items()
        for label, value in table.items()
    }


def measure_likes(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """As `told_by`, ``[S, 2]`` each: of the same network before and after training."""
    text, setup = load_text(config["bytes"]), Setup(**config["base"])

    def columns_of(seed: int) -> dict[str, Tensor]:
        trainer = switch_trainer(setup, text, seed)
        racer = Racer(trainer, lambda: told_by(place(trainer.model, setup, text)))
        racer.judge()
        racer.go_on(setup.steps)
        racer.judge()
        return racer.judged

    return by_seed(seeds, columns_of)


LIKES = Measurement(
    "04-likes",
    "what the expert of a byte tells: of the byte, of its domain, of the next",
    {"version": 1, "bytes": 2_600_000, "base": Setup(steps=400).config},
    range(3), 1, measure_likes,
)  # fmt: skip
MEASUREMENTS = (LIKES,)
