"""Judge a language model as it will be used: it never sees what comes next."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from moe_lib.checks import require_count
from moe_lib.course.switch_setup import LENGTH
from moe_lib.data.domain_text import DomainText, Span
from moe_lib.language_modelling import negative_log_likelihood
from moe_lib.running import evaluating


def step_by_step_bits(
    model: nn.Module, text: DomainText, *, texts: int = 512, side_by_side: int = 32
) -> Tensor:
    """Bits per byte when each byte is told from a text that ends before it, 0-d.

    For every position t a forward pass over the first t bytes alone; only its last
    answer counts. A causal model gives what `evaluate` gives; one whose router looks
    at the whole batch does not.

    Args:
        model: maps bytes ``[N, t]`` to logits ``[N, t, 256]`` and routings.
        texts: held-out windows of 64 bytes, spread over all domains; 512 are all.
        side_by_side: texts that are told together, so a router may choose among them.

    Raises:
        ValueError: fewer held-out windows than ``texts``.
    """
    span = Span(1, LENGTH)
    windows = text.heldout_windows(span).flatten(0, 1)  # [D * 128, 65]
    if require_count("texts", texts) > len(windows):
        raise ValueError(f"texts={texts}: there are {len(windows)}, ask for fewer")
    draw = torch.Generator().manual_seed(0)  # the order of `evaluate`
    order = torch.randperm(len(windows), generator=draw)[:texts].to(windows.device)
    nats = windows.new_zeros((), dtype=torch.float64)
    with evaluating(model):
        for rows in order.split(require_count("side_by_side", side_by_side)):
            inputs, targets = span.split(windows[rows])
            for t in range(LENGTH):
                logits, _ = model(inputs[:, : t + 1])
                found = negative_log_likelihood(logits[:, -1:], targets[:, t : t + 1])
                nats += found.double().sum()
    return nats / (texts * LENGTH * math.log(2))
