"""Train chapter 3's translators, and judge them as they go.

All models of a seed see the same batches. They may train in turns, so that whatever
else the machine does slows all of them alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moe_lib.course.racing import Racer, race
from moe_lib.course.translation_setup import Setup
from moe_lib.data.translation import Translation
from moe_lib.losses import load_balancing_loss
from moe_lib.models.transformer import EncoderDecoder
from moe_lib.schedules import warmup_then_root
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
    *,
    device: torch.device | str = "cpu",
) -> TranslationRun:
    """Train one model on ``device``; by default it is judged at the end only."""
    label = label or ("dense" if setup.num_experts == 1 else "experts")
    marks = checkpoints or (setup.steps,)
    runs = train_in_turns({label: setup}, data, seed, marks, setup.steps, device=device)
    return runs[label]


def train_in_turns(
    setups: Mapping[str, Setup],
    data: Translation,
    seed: int,
    checkpoints: Sequence[int],
    turn: int = 50,
    *,
    device: torch.device | str = "cpu",
) -> dict[str, TranslationRun]:
    """Train models side by side, ``turn`` steps of one, then of the next.

    The same seed gives all of them the same batches, and each the same start as alone.

    Args:
        checkpoints: steps at which they are judged; the last one ends the run.
        device: where to train; data and judged models are on the CPU.

    Raises:
        KeyboardInterrupt: after the step in hand.
    """
    racers = {name: _racer(s, data, seed, name, device) for name, s in setups.items()}
    race(racers, checkpoints, turn)
    return {
        name: TranslationRun(
            setups[name], seed, racer.trainer.model, racer.trainer.history["nats"],
            tuple(checkpoints), **racer.judged,
        )
        for name, racer in racers.items()
    }  # fmt: skip


def _racer(
    setup: Setup,
    data: Translation,
    seed: int,
    label: str,
    device: torch.device | str,
) -> Racer:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = setup.build(len(data.characters)).to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=setup.lr, betas=(0.9, 0.98), fused=True
    )
    trainer = Trainer(
        model,
        translation_objective(
            data.to(device), setup.pairs, {load_balancing_loss: setup.w_balance}
        ),
        optimizer,
        scheduler=warmup_then_root(optimizer, setup.warmup),
        clip_norm=1.0,
        seed=seed,
        label=label,
    )
    return Racer(
        trainer,
        lambda: {
            "nats": nats_per_character(model, data.test),
            "right": exact_matches(model, data.test),
        },
    )
