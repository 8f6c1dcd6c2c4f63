"""Train chapter 3's translators, and judge them as they go.

All models of a seed see the same batches. They may train in turns, so that whatever
else the machine does slows all of them alike.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from moe_lib.course.translation_setup import Setup
from moe_lib.data.translation import Translation
from moe_lib.losses import load_balancing_loss
from moe_lib.models.transformer import EncoderDecoder
from moe_lib.training import Trainer
from moe_lib.translating import (
    exact_matches,
    nats_per_character,
    translation_objective,
)


@dataclass(frozen=True, eq=False)
class TranslationRun:
    """What one trained model tells, at C checkpoints, of N phrases that it never saw.

    curve: ``[steps]``, nats per target character of each training batch.
    steps: C numbers of steps. seconds: ``[C]``, processor time of the training so far.
    nats: ``[C, N]``, of each phrase, per target character. right: ``[C, N]`` bool, is
    its greedy translation exact?
    """

    setup: Setup
    seed: int
    model: EncoderDecoder
    curve: Tensor
    steps: tuple[int, ...]
    seconds: Tensor
    nats: Tensor
    right: Tensor

    @property
    def parameters(self) -> int:
        """Of the whole model."""
        return sum(weight.numel() for weight in self.model.parameters())


def train_translation(
    setup: Setup,
    data: Translation,
    seed: int = 0,
    checkpoints: Sequence[int] | None = None,
    label: str | None = None,
) -> TranslationRun:
    """Train one model; by default it is judged at the end only."""
    label = label or ("dense" if setup.num_experts == 1 else "experts")
    marks = checkpoints or (setup.steps,)
    return train_in_turns({label: setup}, data, seed, marks, setup.steps)[label]


def train_in_turns(
    setups: Mapping[str, Setup],
    data: Translation,
    seed: int,
    checkpoints: Sequence[int],
    turn: int = 50,
) -> dict[str, TranslationRun]:
    """Train models side by side, ``turn`` steps of one, then of the next.

    The same seed gives all of them the same batches, and each the same start as alone.

    Args:
        checkpoints: steps at which they are judged; the last one ends the run.

    Raises:
        KeyboardInterrupt: after the step in hand.
    """
    racers = {name: _Racer(s, data, seed, name) for name, s in setups.items()}
    done = 0
    while done < checkpoints[-1]:
        following = next(mark for mark in checkpoints if mark > done)
        done = min(done + turn, following)
        for racer in racers.values():
            racer.go_on(done)
            if done == following:
                racer.judge()
    return {
        name: TranslationRun(
            setups[name], seed, racer.trainer.model, racer.trainer.history["nats"],
            tuple(checkpoints), *map(torch.stack, racer.judged.values()),
        )
        for name, racer in racers.items()
    }  # fmt: skip


class _Racer:
    """A model on its way: a trainer, a stopwatch, and what was found so far."""

    def __init__(self, setup: Setup, data: Translation, seed: int, label: str) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = setup.build(len(data.characters))
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=setup.lr, betas=(0.9, 0.98), fused=True
        )
        up, losses = setup.warmup, {load_balancing_loss: setup.w_balance}
        self.trainer = Trainer(
            model,
            translation_objective(data, setup.pairs, losses),
            optimizer,
            scheduler=LambdaLR(
                optimizer, lambda n: min((n + 1) / up, (up / (n + 1)) ** 0.5)
            ),
            clip_norm=1.0,
            seed=seed,
            label=label,
        )
        self.test, self.seconds = data.test, 0.0
        self.judged: dict[str, list[Tensor]] = {"seconds": [], "nats": [], "right": []}

    def go_on(self, step: int) -> None:
        began = time.process_time()
        self.trainer.run(step)
        self.seconds += time.process_time() - began
        if self.trainer.interrupted:
            raise KeyboardInterrupt  # half a run, compared with whole ones, misleads

    def judge(self) -> None:
        model = self.trainer.model
        self.judged["seconds"].append(torch.tensor(self.seconds))
        self.judged["nats"].append(nats_per_character(model, self.test))
        self.judged["right"].append(exact_matches(model, self.test))
