"""Translation: the training objective, and who is translated without a mistake."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lib.data.characters import END, PADDING, START
from moe_lib.data.translation import Pairs, Translation
from moe_lib.language_modelling import (
    AuxiliaryLosses,
    auxiliary_losses,
    negative_log_likelihood,
)
from moe_lib.losses import load_balancing_loss
from moe_lib.models.generate import translate
from moe_lib.models.transformer import EncoderDecoder
from moe_lib.running import evaluating
from moe_lib.training import Metrics, Objective


def translation_objective(
    data: Translation, size: int, losses: AuxiliaryLosses | None = None
) -> Objective:
    """What a `Trainer` minimises: cross entropy per target character, and more.

    Padding counts in nothing. Recorded at each step: "nats", the cross entropy alone,
    and the auxiliary losses by name, ``[layers]``.

    Args:
        data: on the model's device.
        size: pairs in a batch.
        losses: as in `auxiliary_losses`; None: ``{load_balancing_loss: 0.01}``.
    """
    losses = {load_balancing_loss: 0.01} if losses is None else losses

    def objective(
        model: nn.Module, generator: torch.Generator
    ) -> tuple[Tensor, Metrics]:
        source, target, _ = data.draw(size, generator)
        told, wanted = target[:, :-1], target[:, 1:]
        logits, routings = model(source, told, source != PADDING, told != PADDING)
        nats = F.cross_entropy(
            logits.float().flatten(0, 1), wanted.flatten(), ignore_index=PADDING
        )
        extra, metrics = auxiliary_losses(routings, losses)
        return nats + extra, {"nats": nats.detach(), **metrics}

    return objective


def exact_matches(model: EncoderDecoder, pairs: Pairs, *, batch: int = 200) -> Tensor:
    """``[N]`` bool: is the greedy translation the target, to the last character?"""
    right = torch.zeros_like(pairs.language, dtype=torch.bool)
    for rows in _by_length(pairs).split(batch):
        source, target, _ = pairs.batch(rows)
        wanted = target[:, 1:]
        written = translate(
            model,
            source,
            source != PADDING,
            steps=wanted.shape[1],
            start=START,
            end=END,
            padding=PADDING,
        )
        right[rows] = (written == wanted).all(dim=1)
    return right


def nats_per_character(
    model: EncoderDecoder, pairs: Pairs, *, batch: int = 200
) -> Tensor:
    """``[N]``: each pair's negative log-likelihood, a mean over the characters of its
    target and the `END`."""
    nats = torch.zeros(len(pairs), device=pairs.language.device)
    with evaluating(model):
        for rows in _by_length(pairs).split(batch):
            source, target, _ = pairs.batch(rows)
            told, wanted = target[:, :-1], target[:, 1:]
            logits, _ = model(source, told, source != PADDING, told != PADDING)
            real = wanted != PADDING
            each = negative_log_likelihood(logits, wanted) * real
            nats[rows] = each.sum(dim=1) / real.sum(dim=1)
    return nats


def _by_length(pairs: Pairs) -> Tensor:
    """``[N]``: the rows, short targets first: a batch then needs few steps."""
    return (pairs.target != PADDING).sum(dim=1).argsort(stable=True)
