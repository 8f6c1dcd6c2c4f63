"""Exercise 04b.2: the best model after 60 seconds, on a fixed budget of arithmetic.

The clock is processor time on one thread, training only. So that a slow machine is
not a handicap, it runs as long as the baseline needs here for what it does in 60 s
where the board was measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from moe_lib.checks import require_count
from moe_lib.course import leaderboard_rules as rules
from moe_lib.course.switch_runs import switch_trainer
from moe_lib.course.switch_setup import Setup, as_much_arithmetic
from moe_lib.course.timing import using_threads
from moe_lib.data.domain_text import DomainText
from moe_lib.language_modelling import (
    AuxiliaryLosses,
    evaluate,
    language_model_objective,
)
from moe_lib.losses import load_balancing_loss, router_z_loss
from moe_lib.training import Metrics, Trainer

SECONDS = 60.0


def warm_up(gone: float) -> float:
    """Up to the full rate in a twentieth of the time; there it stays."""
    return min(1.0, 20 * gone)


def down_to_zero(gone: float) -> float:
    """Up in a twentieth of the time, then down in a line to nothing."""
    return min(20 * gone, (1 - gone) / 0.95)


SCHEDULES = {"warm-up": warm_up, "down to zero": down_to_zero}


@dataclass(frozen=True, eq=False)
class Entry:
    """A model that has learnt nothing yet, and how it is to learn.

    Args:
        model: bytes ``[B, 64]`` -> ``(logits [B, 64, 256], routings by layer)``.
        optimizer: over the model's parameters.
        schedule: share of the time gone, 0 to 1 -> share of the learning rate.
        losses: of a routing -> coefficient; None: the balancing loss at 0.01.
        texts: of 64 bytes each, in a batch.
        clip_norm: longest gradient; None: as long as it is.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Callable[[float], float] = warm_up
    losses: AuxiliaryLosses | None = None
    texts: int = 32
    clip_norm: float | None = 1.0

    def __post_init__(self) -> None:
        require_count("texts", self.texts)


@dataclass(frozen=True)
class Result:
    """What an entry reached: bits per byte held out, mean over domains; what it took.

    seconds: processor time of its training. flops: forward, in eval mode, for a byte.
    """

    bits: float
    steps: int
    seconds: float
    flops: float
    parameters: int


class Refused(ValueError):
    """An entry that breaks a rule; which, in one line."""


def train_entry(
    make_entry: Callable[[], Entry],
    text: DomainText,
    seed: int = 0,
    *,
    seconds: float = SECONDS,
    label: str = "entry",
) -> Result:
    """Train on one thread until the clock has run ``seconds``, and judge.

    Raises:
        Refused: the entry breaks a rule, before or after its training.
        KeyboardInterrupt: after the step in hand.
    """
    with using_threads(1), torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        entry = make_entry()
        if not isinstance(entry, Entry):
            raise Refused(f"it is of type {type(entry).__name__}: return an Entry")
        _refuse(rules.fault_at_start(entry.model, text, entry.texts))
        steps, spent = _train(entry, text, seed, seconds, label)
        bits = evaluate(entry.model, text, Setup().span).mean().item()
        _refuse(rules.fault_at_end(entry.model, text, bits, entry.texts))
        flops = rules.flops_per_byte(entry.model.eval(), entry.texts)
    parameters = sum(weight.numel() for weight in entry.model.parameters())
    return Result(bits, steps, spent, flops, parameters)


def entry_of(
    setup: Setup, schedule: Callable[[float], float] = warm_up, **more: Any
) -> Entry:
    """A setup's model, learning as in the rest of the chapter but for the schedule.

    Args:
        more: for `Entry`.
    """
    model = setup.build()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=setup.lr, betas=(0.9, 0.98), fused=True
    )
    losses = {load_balancing_loss: setup.w_balance, router_z_loss: setup.w_z}
    return Entry(model, optimizer, schedule, losses, **more)


def baseline_step(text: DomainText, steps: int = 30) -> float:
    """Seconds of processor time that a step of chapter 4's dense model takes here."""
    with using_threads(1):
        trainer = switch_trainer(
            as_much_arithmetic(Setup()), text, label="setting the clock"
        )
        trainer.run(5)  # the first steps are slow
        began = time.process_time()
        trainer.run(5 + require_count("steps", steps))
        return (time.process_time() - began) / steps


def _train(
    entry: Entry, text: DomainText, seed: int, seconds: float, label: str
) -> tuple[int, float]:
    """Steps done, and seconds spent."""
    began = time.process_time()

    def gone() -> float:
        return min((time.process_time() - began) / seconds, 1.0)

    def over(metrics: Metrics) -> bool:
        return gone() >= 1

    entry.model.train()
    trainer = Trainer(
        entry.model,
        language_model_objective(text, Setup().span, entry.texts, entry.losses),
        entry.optimizer,
        scheduler=torch.optim.lr_scheduler.LambdaLR(
            entry.optimizer, lambda step: entry.schedule(gone())
        ),
        clip_norm=entry.clip_norm,
        seed=seed,
        label=label,
    )
    ahead = 5  # then as many as the time left seems to allow
    while gone() < 1:
        if trainer.run(trainer.step + ahead, until=over).interrupted:
            raise KeyboardInterrupt
        ahead = 1 + int(trainer.step * (1 / gone() - 1))
    return trainer.step, time.process_time() - began


def _refuse(fault: str) -> None:
    if fault:
        raise Refused(fault)
