"""The race of 1991: mixtures of experts against back-propagation, on real vowels.

Jacobs et al. (1991), section 2 and table 1: full-batch gradient descent at one fixed
step size, stopped when the average squared error on the training set is 0.08.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moe_lib import losses
from moe_lib.data.vowels import Scaler, Vowels, split_by_speaker
from moe_lib.models.adaptive_mixture import AdaptiveMixture, BackpropNet
from moe_lib.models.ensemble import Ensemble
from moe_lib.training import Trainer

STOP_AT = 0.08  # average squared error over cases and the four outputs

# What one descends on: name -> (loss, factor on the step size). Equations 1.1 and
# 1.2 have gradients twice the size of 1.3's, so for a fair race their step is halved.
LOSSES: dict[str, tuple[Callable[..., Tensor], float]] = {
    "likelihood": (losses.mixture_likelihood_loss, 1.0),
    "competitive": (losses.competitive_loss, 0.5),
    "cooperative": (losses.cooperative_loss, 0.5),
}


@dataclass(frozen=True)
class System:
    """One row of table 1: ``experts`` or ``hidden`` is set, the other is 0."""

    name: str
    experts: int = 0
    hidden: int = 0
    loss: str = "likelihood"

    def build(self) -> nn.Module:
        """An untrained model from the global random state."""
        if self.experts:
            return AdaptiveMixture.linear(2, 4, self.experts)
        return BackpropNet(2, self.hidden, 4)


TABLE_1 = (
    System("4 experts", experts=4),
    System("8 experts", experts=8),
    System("BP, 6 hidden", hidden=6),
    System("BP, 12 hidden", hidden=12),
)


@dataclass(frozen=True, eq=False)
class RaceResult:
    """What S runs of one system gave; every column has length S.

    epochs: float64, steps until the error was at most 0.08; NaN where it never was.
    train, test: float64, share of vowels named rightly, 0..1.
    gate_share: ``[S, E]`` mean gate over the training set (empty for BP).
    """

    system: System
    epochs: Tensor
    train: Tensor
    test: Tensor
    gate_share: Tensor
    trainer: Trainer

    @property
    def survivors(self) -> Tensor:
        """``[S]`` int64: experts whose mean gate is above 5 %."""
        return (self.gate_share > 0.05).sum(dim=-1)


def race(
    system: System,
    vowels: Vowels,
    *,
    seeds: Sequence[int] = range(25),
    lr: float = 0.5,
    max_epochs: int = 6000,
) -> RaceResult:
    """Train one system once per seed, each seed with its own speakers and start."""
    splits = [split_by_speaker(vowels, seed=seed) for seed in seeds]
    x, d = _stack([train for train, _ in splits], splits)
    model = Ensemble(system.build, list(seeds))
    loss, factor = LOSSES[system.loss]

    def objective(ensemble: nn.Module, _: torch.Generator) -> tuple[Tensor, dict]:
        per_seed, error = ensemble.each(_one_run(system, loss), x, d)
        running = error.detach() > STOP_AT  # a finished seed gets no more gradient
        return (per_seed * running).sum(), {"error": error, "running": running}

    optimizer = torch.optim.SGD(model.parameters(), lr=lr * factor)
    trainer = Trainer(model, objective, optimizer, label=system.name)
    trainer.run(
        max_epochs, until=lambda metrics: not metrics["running"].any(), whole=True
    )
    running = trainer.history["running"]  # [epochs, S]
    epochs = running.sum(dim=0).double()
    epochs[running[-1]] = torch.nan
    x_test, d_test = _stack([test for _, test in splits], splits)
    with torch.no_grad():
        return RaceResult(
            system,
            epochs,
            _accuracy(model, x, d),
            _accuracy(model, x_test, d_test),
            _gate_share(system, model, x),
            trainer,
        )


def _stack(parts: list[Vowels], splits: list) -> tuple[Tensor, Tensor]:
    """Inputs ``[S, N, 2]``, scaled as the training set was; targets ``[S, N, 4]``."""
    scalers = [Scaler.of(train.formants) for train, _ in splits]
    x = [scaler(part.formants) for scaler, part in zip(scalers, parts, strict=True)]
    return torch.stack(x).float(), torch.stack([p.one_hot for p in parts]).float()


def _blend(answer: object) -> Tensor:
    """The answer ``[T, D]`` of a net, or of a mixture's ``(outputs, routing)``."""
    if isinstance(answer, Tensor):
        return answer
    outputs, routing = answer
    return (routing.router_probs.unsqueeze(-1) * outputs).sum(dim=1)


def _one_run(system: System, loss: Callable[..., Tensor]) -> Callable:
    def run(member: Callable, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        answer = member(x)
        error = (_blend(answer) - d).square().mean()
        if system.experts:
            outputs, routing = answer
            return loss(outputs, routing.router_probs, d), error
        # Equation 1.3 with one expert is half the squared error: one rule for all.
        return error * d.shape[-1] / 2, error

    return run


def _accuracy(model: Ensemble, x: Tensor, d: Tensor) -> Tensor:
    answers = model.each(lambda member, rows: _blend(member(rows)), x)
    return (answers.argmax(-1) == d.argmax(-1)).double().mean(dim=-1)


def _gate_share(system: System, model: Ensemble, x: Tensor) -> Tensor:
    if not system.experts:
        return torch.zeros(len(model), 0)
    return model.each(lambda member, rows: member(rows)[1].router_probs.mean(dim=0), x)
