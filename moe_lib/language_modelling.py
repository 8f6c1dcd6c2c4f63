"""Language models of bytes: the training objective, and bits per byte held out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lib.data.domain_text import DomainText, Span
from moe_lib.losses import load_balancing_loss
from moe_lib.routing import Routing
from moe_lib.running import evaluating
from moe_lib.training import Metrics, Objective

AuxiliaryLosses = Mapping[Callable[[Routing], Tensor], float]
"""Loss of one routing -> its coefficient, e.g. ``{load_balancing_loss: 0.01}``. With
coefficient 0 it is only recorded."""


def auxiliary_losses(
    routings: Sequence[Routing], losses: AuxiliaryLosses
) -> tuple[Tensor | float, Metrics]:
    """``sum over layers and losses of coefficient * loss(routing)``, and each loss.

    Summed, not averaged: each layer feels the same pressure however many there are.

    Returns:
        The sum (0.0 without routings), and by the loss's name ``[layers]``, detached.
    """
    total, metrics = 0.0, {}
    for loss, coefficient in losses.items() if routings else ():
        by_layer = torch.stack([loss(routing) for routing in routings])
        total = total + coefficient * by_layer.sum()
        metrics[loss.__name__] = by_layer.detach()
    return total, metrics


def language_model_objective(
    text: DomainText,
    span: Span,
    size: int,
    losses: AuxiliaryLosses | None = None,
) -> Objective:
    """What a `Trainer` minimises: next-byte cross entropy plus auxiliary losses.

    The model maps a span's inputs ``[size, length - 1]`` to ``(logits, routings)``,
    logits ``[size, 256]`` or ``[size, predicted, 256]``. Recorded at each step:
    "bits_per_byte", the cross entropy alone; of a model with MoE layers the auxiliary
    losses by name and "drop_fraction", ``[layers]`` each, and "demand", the share of
    the rows that asked for each expert, ``[layers, E]``.

    Args:
        text: on the model's device.
        span: what the model sees and predicts.
        size: windows in a batch.
        losses: None: ``{load_balancing_loss: 0.01}``.
    """
    losses = {load_balancing_loss: 0.01} if losses is None else losses

    def objective(
        model: nn.Module, generator: torch.Generator
    ) -> tuple[Tensor, Metrics]:
        windows, _ = text.windows(size, span.length, generator)
        inputs, targets = span.split(windows)
        logits, routings = model(inputs)
        return with_losses(negative_log_likelihood(logits, targets), routings, losses)

    return objective


def with_losses(
    nats: Tensor, routings: Sequence[Routing], losses: AuxiliaryLosses
) -> tuple[Tensor, Metrics]:
    """The mean of ``nats`` plus auxiliary losses, and what a step records of both."""
    extra, metrics = auxiliary_losses(routings, losses)
    mean = nats.mean()
    metrics["bits_per_byte"] = mean.detach() / math.log(2)
    if routings:
        metrics["drop_fraction"] = torch.stack([r.drop_fraction for r in routings])
        demand = torch.stack([r.demand_per_expert for r in routings])
        metrics["demand"] = demand / demand.sum(dim=1, keepdim=True)
    return mean + extra, metrics


def negative_log_likelihood(logits: Tensor, targets: Tensor) -> Tensor:
    """Of each target, in nats: ``[N, predicted]``, in float32 or better."""
    rows = logits.flatten(0, -2)
    rows = rows if rows.dtype == torch.float64 else rows.float()
    return F.cross_entropy(rows, targets.flatten(), reduction="none").view_as(targets)


def evaluate(
    model: nn.Module, text: DomainText, span: Span, *, batch: int = 2048
) -> Tensor:
    """Bits per byte of the held-out predictions: ``[D]``, one number per domain.

    The predicted bytes are the same whatever model and span. They come in batches of
    ``batch`` predictions, all domains mixed in a fixed order, since where experts are
    full, or choose, a byte's loss depends on its neighbours in the batch.
    """
    windows = text.heldout_windows(span)  # [D, n, length]
    num_domains, per_domain, _ = windows.shape
    draw = torch.Generator().manual_seed(0)
    order = torch.randperm(num_domains * per_domain, generator=draw)
    order = order.to(windows.device)
    nats = torch.empty(len(order), device=windows.device)
    with evaluating(model):
        for rows in order.split(max(1, batch // span.predicted)):
            inputs, targets = span.split(windows.flatten(0, 1)[rows])
            logits, _ = model(inputs)
            nats[rows] = negative_log_likelihood(logits, targets).mean(dim=1).float()
    return nats.view(num_domains, -1).mean(dim=1) / math.log(2)
