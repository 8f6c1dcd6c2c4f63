"""The long measurements of how a Switch model starts, explores and reroutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from moe_lib.course.columns import Config, by_seed
from moe_lib.course.exploring import WAYS, capacities, exploring_router
from moe_lib.course.left_behind import NoTokenLeftBehindRouter, first_choice_loss
from moe_lib.course.racing import Racer, race
from moe_lib.course.starting import draw_afresh
from moe_lib.course.stored_results import Measurement
from moe_lib.course.switch_runs import switch_trainer
from moe_lib.course.switch_setup import Setup
from moe_lib.data.domain_text import DomainText
from moe_lib.data.text import load_text
from moe_lib.language_modelling import evaluate
from moe_lib.running import evaluating
from moe_lib.training import Trainer

SCALES = (10, 1, 0.1, 0.01)
AT_ONE, NOBODY = "argmax at 1", "nobody left behind at 1"
ARMS = (*WAYS, AT_ONE, NOBODY)
PIECE = 10  # training losses are kept as means of so many steps


def scaled_trainer(
    setup: Setup, text: DomainText, scale: float, seed: int = 0
) -> Trainer:
    """A trainer whose model starts at a scale; the draws are the same for each."""
    trainer = switch_trainer(setup, text, seed, label=f"scale {scale:g}")
    draw_afresh(trainer.model, scale, seed)
    return trainer


def exploring_trainer(
    setup: Setup, text: DomainText, arm: str, seed: int = 0
) -> Trainer:
    """A trainer of one of the `ARMS`; with "at 1", the capacity factor is 1.

    All start from the same weights and see the same batches.
    """
    losses = None
    if arm in (AT_ONE, NOBODY):
        setup = setup.but(capacity_factor=1.0)
    if arm == NOBODY:
        make_router = partial(
            NoTokenLeftBehindRouter,
            setup.d_model,
            setup.num_experts,
            **capacities(setup),
        )
        losses = {first_choice_loss: setup.w_balance}
    else:
        way = "argmax" if arm == AT_ONE else arm
        make_router = partial(exploring_router, setup, way)
    return switch_trainer(
        setup, text, seed, make_router=make_router, losses=losses, label=arm
    )


def busiest(model: nn.Module, text: DomainText, setup: Setup) -> Tensor:
    """What the busiest expert is asked for on held-out text, over its fair share.

    The mean over the mixtures: 1 at balance, E where one expert is asked for all.
    """
    windows = text.heldout_windows(setup.span).flatten(0, 1)
    inputs, _ = setup.span.split(windows)
    with evaluating(model):
        _, routings = model(inputs)
    demand = torch.stack([table.demand_per_expert for table in routings])
    return (demand.amax(dim=1) / demand.float().mean(dim=1)).mean()


def run_columns(
    trainers: Mapping[str, Trainer],
    text: DomainText,
    setup: Setup,
    checkpoints: Sequence[int],
) -> dict[str, Tensor]:
    """Train all in turns; of each, at C checkpoints and over N steps:

    "arm: bits" ``[C]``, held out; "arm: busiest" ``[C]``, see `busiest`; "arm:
    training" ``[N / PIECE]``, bits per byte of the batches; "arm: dropped" ``[]``, the
    share of all choices.
    """

    def racer(trainer: Trainer) -> Racer:
        model = trainer.model
        return Racer(
            trainer,
            lambda: {
                "bits": evaluate(model, text, setup.span).mean(),
                "busiest": busiest(model, text, setup),
            },
        )

    racers = {arm: racer(trainer) for arm, trainer in trainers.items()}
    race(racers, checkpoints)
    columns = {}
    for arm, one in racers.items():
        history = one.trainer.history
        columns[f"{arm}: bits"] = one.judged["bits"]
        columns[f"{arm}: busiest"] = one.judged["busiest"]
        bits = history["bits_per_byte"]
        columns[f"{arm}: training"] = bits.view(-1, PIECE).mean(dim=1)
        columns[f"{arm}: dropped"] = history["drop_fraction"].mean()
    return columns


def measure_initialisation(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """As `run_columns`, arms "scale S"."""
    text, setup = load_text(), Setup(**config["base"])

    def columns_of(seed: int) -> dict[str, Tensor]:
        trainers = {
            f"scale {scale:g}": scaled_trainer(setup, text, scale, seed)
            for scale in config["scales"]
        }
        return run_columns(trainers, text, setup, config["checkpoints"])

    return by_seed(seeds, columns_of)


def measure_exploration(config: Config, seeds: Sequence[int]) -> dict[str, Tensor]:
    """As `run_columns`, arms of `ARMS`."""
    text, setup = load_text(), Setup(**config["base"])

    def columns_of(seed: int) -> dict[str, Tensor]:
        trainers = {
            arm: exploring_trainer(setup, text, arm, seed) for arm in config["arms"]
        }
        return run_columns(trainers, text, setup, config["checkpoints"])

    return by_seed(seeds, columns_of)


INITIALISATION = Measurement(
    "04b-initialisation",
    "the first steps from weights of four scales",
    {
        "version": 1, "base": Setup(lr=0.01, steps=200).config, "scales": SCALES,
        "checkpoints": (50, 100, 200),
    },
    range(8), 1, measure_initialisation,
)  # fmt: skip
EXPLORATION = Measurement(
    "04b-exploration",
    "four ways to explore, and overflow sent on",
    {
        "version": 1, "base": Setup(lr=0.01, steps=400).config, "arms": ARMS,
        "checkpoints": (100, 200, 400),
    },
    range(4), 1, measure_exploration,
)  # fmt: skip
MEASUREMENTS = (INITIALISATION, EXPLORATION)
