"""Train the language models of chapter 2 on bytes; keep what its pictures need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from moe_lib.course.byte_setup import Setup
from moe_lib.course.placed import place
from moe_lib.course.racing import Racer
from moe_lib.data.domain_text import DomainText
from moe_lib.language_modelling import (
    AuxiliaryLosses,
    evaluate,
    language_model_objective,
)
from moe_lib.losses import cv_squared, importance_loss, load_loss
from moe_lib.routing import Routing
from moe_lib.schedules import warmup_then_linear
from moe_lib.training import Trainer


@dataclass(frozen=True, eq=False)
class ByteRun:
    """What one trained model tells.

    heldout_bits: bits per byte of held-out text, mean over domains.
    curve: ``[steps]``, bits per byte of each training batch, noise included.
    demand: ``[steps, E]``, the share of the batch's rows that each expert got.
    cv_importance, cv_load, max_over_mean: on held-out text, without noise; None for a
    dense model. seconds: processor time of the training.
    """

    setup: Setup
    seed: int
    model: nn.Module
    heldout_bits: float
    curve: Tensor
    demand: Tensor
    seconds: float
    cv_importance: float | None = None
    cv_load: float | None = None
    max_over_mean: float | None = None

    @property
    def perplexity(self) -> float:
        """Per byte, held out: 2 to the bits."""
        return 2**self.heldout_bits

    @property
    def parameters(self) -> int:
        """Of the whole model."""
        return sum(weight.numel() for weight in self.model.parameters())


def train_bytes(
    setup: Setup,
    text: DomainText,
    seed: int = 0,
    *,
    make_router: Callable[[], nn.Module] | None = None,
    losses: AuxiliaryLosses | None = None,
    label: str | None = None,
    device: torch.device | str = "cpu",
) -> ByteRun:
    """Train one model; the same seed gives the same start and the same batches.

    Args:
        make_router: builds another router than the setup's.
        losses: others than importance and load loss with the setup's coefficients.
        label: shown beside the progress bar.
        device: where to train; text and trained model are on the CPU.

    Raises:
        KeyboardInterrupt: after the step in hand; so a loop of runs ends as well.
    """
    span = setup.span
    if losses is None:
        losses = {importance_loss: setup.w_importance}
        losses |= {load_loss: setup.w_load} if setup.noise else {}  # it needs noise
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = setup.build(make_router).to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=setup.lr, betas=(0.9, 0.98), fused=True
    )
    run = Trainer(
        model,
        language_model_objective(
            learnt_from(setup, text).to(device),
            span,
            setup.tokens // span.predicted,
            losses,
        ),
        optimizer,
        scheduler=warmup_then_linear(optimizer, setup.steps),
        clip_norm=1.0,
        seed=seed,
        label=label or f"{setup.name}, seed {seed}",
    )
    racer = Racer(run)
    racer.go_on(setup.steps)
    dense = setup.num_experts == 1
    return ByteRun(
        setup,
        seed,
        model,
        heldout_bits=evaluate(model, text, span).mean().item(),
        curve=run.history["bits_per_byte"],
        demand=torch.ones(run.step, 1) if dense else run.history["demand"][:, 0],
        seconds=racer.seconds,
        **({} if dense else balance(place(model, setup, text, every=4).routing)),
    )


def learnt_from(setup: Setup, text: DomainText) -> DomainText:
    """The text with no more to learn from than the setup says."""
    return replace(text, train=text.train[:, : setup.train_bytes].contiguous())


def balance(routing: Routing) -> dict[str, float]:
    """The three columns of table 6 that tell how even the experts' work is."""
    demand = routing.demand_per_expert.double()
    return {
        "cv_importance": cv_squared(routing.dense().sum(dim=0)).sqrt().item(),
        "cv_load": cv_squared(demand).sqrt().item(),
        "max_over_mean": (demand.max() / demand.mean()).item(),
    }


def training_bits(run: ByteRun, text: DomainText) -> float:
    """Bits per byte on the text that the run learnt from, measured as held-out is."""
    same = replace(text, heldout=learnt_from(run.setup, text).train)
    return evaluate(run.model, same, run.setup.span).mean().item()
