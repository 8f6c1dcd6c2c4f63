"""Greedy translation: always the likeliest token, all computed anew for each."""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.models.transformer import EncoderDecoder
from moe_lib.running import evaluating


def translate(
    model: EncoderDecoder,
    source: Tensor,
    source_mask: Tensor,
    *,
    steps: int,
    start: int,
    end: int,
    padding: int,
) -> Tensor:
    """What the model makes of ``source`` ``[B, S]``: ``[B, steps]``, without start.

    It always takes ``steps`` steps, so that nothing has to wait to know who is done;
    after ``end`` a row has ``padding``.
    """
    with evaluating(model):
        memory, _ = model.encode(source, source_mask)
        target = source.new_full((len(source), 1), start)
        done = torch.zeros_like(target, dtype=torch.bool)
        for _ in range(steps):
            mask = target != padding
            logits, _ = model.decode(target, memory, mask, source_mask)
            best = logits[:, -1:].argmax(dim=-1).masked_fill(done, padding)
            target = torch.cat([target, best], dim=1)
            done = done | (best == end)
    return target[:, 1:]
