"""Masked language models of bytes: hide some, and tell them from both sides.

Devlin et al. (2019), "BERT": without its kept and random bytes, every chosen byte is
hidden. The hidden byte reads as `NO_BYTE`, which the byte tables know.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from moe_lib.checks import require_share
from moe_lib.data.domain_text import DomainText, Span
from moe_lib.language_modelling import (
    AuxiliaryLosses,
    negative_log_likelihood,
    with_losses,
)
from moe_lib.models.byte_tables import NO_BYTE
from moe_lib.running import evaluating
from moe_lib.training import Metrics, Objective

PASSES = 7  # of an evaluation: every seventh byte is hidden in each


def masked_objective(
    text: DomainText,
    length: int,
    size: int,
    losses: AuxiliaryLosses,
    *,
    share: float = 0.3,
) -> Objective:
    """What a `Trainer` minimises: cross entropy of hidden bytes, and auxiliary losses.

    The model maps bytes ``[size, length]``, some of them `NO_BYTE`, to ``(logits
    [size, length, 256], routings)``. Recorded as in `language_model_objective`.

    Args:
        length, size: bytes of a text, texts in a batch.
        share: of the bytes hidden, each with this probability. BERT hid 0.15; small
            models that are trained for a short time learn more from more.

    Raises:
        ValueError: ``share`` is not from 0 to below 1.
    """
    require_share("share", share)

    def objective(
        model: nn.Module, generator: torch.Generator
    ) -> tuple[Tensor, Metrics]:
        texts, _ = text.windows(size, length, generator)
        where = {"generator": generator, "device": texts.device}
        hidden = torch.rand(texts.shape, **where) < share
        hidden[:, 0] |= ~hidden.any(dim=1)  # one in each text at least
        logits, routings = model(texts.masked_fill(hidden, NO_BYTE))
        nats = negative_log_likelihood(logits[hidden], texts[hidden])
        return with_losses(nats, routings, losses)

    return objective


def evaluate_masked(
    model: nn.Module, text: DomainText, length: int, *, batch: int = 2048
) -> Tensor:
    """Bits per hidden byte of held-out text: ``[D]``, one number per domain.

    Every byte is hidden once, in seven passes. Texts of all domains are mixed in a
    fixed order, ``batch`` bytes at a time, since where experts are full, or choose, a
    byte's loss depends on its neighbours in the batch.
    """
    windows = text.heldout_windows(Span(1, length))[:, :, 1:]  # [D, n, length]
    num_domains, per_domain, _ = windows.shape
    draw = torch.Generator().manual_seed(0)
    order = torch.randperm(num_domains * per_domain, generator=draw)
    texts, order = windows.flatten(0, 1), order.to(windows.device)
    nats = torch.empty(texts.shape, device=texts.device)
    place = torch.arange(length, device=texts.device)
    with evaluating(model):
        for rows in order.split(max(1, batch // length)):
            for first in range(PASSES):
                hidden = (place % PASSES == first).expand(len(rows), -1)
                logits, _ = model(texts[rows].masked_fill(hidden, NO_BYTE))
                told = negative_log_likelihood(logits[hidden], texts[rows][hidden])
                at = rows[:, None].expand_as(hidden)[hidden], hidden.nonzero()[:, 1]
                nats[at] = told.float()
    return nats.view(num_domains, -1).mean(dim=1) / math.log(2)
