"""Train chapter 4's language models side by side, and judge them as they go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moe_lib.course.racing import Racer, race
from moe_lib.course.switch_setup import LENGTH, MakeRouter, Setup
from moe_lib.data.domain_text import DomainText
from moe_lib.language_modelling import (
    AuxiliaryLosses,
    evaluate,
    language_model_objective,
)
from moe_lib.masked_modelling import evaluate_masked, masked_objective
from moe_lib.models.transformer import TransformerLM
from moe_lib.schedules import warmup_then_root
from moe_lib.training import Objective, Trainer

Judge = Callable[[nn.Module], dict[str, Tensor]]
Prepare = Callable[[TransformerLM], None]


@dataclass(frozen=True, eq=False)
class SwitchRun:
    """What one trained model tells, at C checkpoints.

    steps: C numbers of steps. seconds: ``[C]``, processor time of the training so far.
    bits: ``[C]``, bits per byte of held-out text, mean over domains.
    history: metric -> ``[steps, ...]``, of each training batch; see `Trainer`.
    more: name -> ``[C, ...]``, what else a judge found.
    """

    setup: Setup
    seed: int
    model: TransformerLM
    steps: tuple[int, ...]
    seconds: Tensor
    bits: Tensor
    history: dict[str, Tensor]
    more: dict[str, Tensor]

    @property
    def parameters(self) -> int:
        """Of the whole model."""
        return sum(weight.numel() for weight in self.model.parameters())


def objective_of(
    setup: Setup, text: DomainText, losses: AuxiliaryLosses | None = None
) -> Objective:
    """What a setup's model is trained for: the next bytes, or hidden ones.

    Args:
        losses: others than the setup's.
    """
    losses = setup.losses if losses is None else losses
    size = setup.tokens // LENGTH
    if setup.masked:
        return masked_objective(text, LENGTH, size, losses)
    return language_model_objective(text, setup.span, size, losses)


def bits_of(setup: Setup, model: nn.Module, text: DomainText) -> Tensor:
    """Bits per byte of held-out text, mean over domains, 0-d."""
    if setup.masked:
        return evaluate_masked(model, text, LENGTH).mean()
    return evaluate(model, text, setup.span).mean()


def switch_trainer(
    setup: Setup,
    text: DomainText,
    seed: int = 0,
    *,
    make_router: MakeRouter | None = None,
    prepare: Prepare = lambda model: None,
    losses: AuxiliaryLosses | None = None,
    label: str | None = None,
    wrap: Callable[[Objective], Objective] = lambda objective: objective,
    device: torch.device | str = "cpu",
) -> Trainer:
    """A trainer at step 0; the same seed gives the same start and the same batches.

    Args:
        make_router: builds another router than the setup's.
        prepare: changes the new model before it is trained.
        losses: others than the balancing loss and the z-loss, with the setup's
            coefficients.
        label: shown beside the progress bar.
        wrap: around the objective: autocast, for example.
        device: where to train.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = setup.build(make_router)
        prepare(model)
    model = model.to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=setup.lr, betas=(0.9, 0.98), fused=True
    )
    return Trainer(
        model,
        wrap(objective_of(setup, text.to(device), losses)),
        optimizer,
        scheduler=warmup_then_root(optimizer, setup.warmup),
        clip_norm=1.0,
        seed=seed,
        label=label or setup.router,
    )


def train_in_turns(
    setups: Mapping[str, Setup],
    text: DomainText,
    seed: int = 0,
    checkpoints: Sequence[int] | None = None,
    *,
    judge: Judge = lambda model: {},
    make_routers: Mapping[str, MakeRouter] | None = None,
    prepare: Mapping[str, Prepare] | None = None,
    losses: Mapping[str, AuxiliaryLosses] | None = None,
    turn: int = 50,
    device: torch.device | str = "cpu",
) -> dict[str, SwitchRun]:
    """Train models side by side, ``turn`` steps of one, then of the next.

    Args:
        checkpoints: steps at which all are judged; the last one ends the run. None:
            once, after the first setup's steps.
        judge: finds more than the held-out bits.
        make_routers: name -> builds another router than the setup's.
        prepare: name -> changes the new model before it is trained.
        losses: name -> others than the setup's.
        device: where to train; text and judged models are on the CPU.

    Raises:
        KeyboardInterrupt: after the step in hand.
    """
    marks = tuple(checkpoints or (next(iter(setups.values())).steps,))
    others = {
        "make_router": make_routers or {},
        "prepare": prepare or {},
        "losses": losses or {},
    }

    def racer(name: str, setup: Setup) -> Racer:
        own = {key: by_name[name] for key, by_name in others.items() if name in by_name}
        trainer = switch_trainer(setup, text, seed, label=name, device=device, **own)
        model = trainer.model
        return Racer(
            trainer,
            lambda: {"bits": bits_of(setup, model, text), **judge(model)},
        )

    racers = {name: racer(name, setup) for name, setup in setups.items()}
    race(racers, marks, turn)
    runs = {}
    for name, one in racers.items():
        found, trainer = one.judged, one.trainer
        runs[name] = SwitchRun(
            setups[name], seed, trainer.model, marks, found.pop("seconds"),
            found.pop("bits"), trainer.history, found,
        )  # fmt: skip
    return runs
