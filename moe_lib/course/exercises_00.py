"""The warm-up of chapter 0."""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.course.exercises import Exercise


def blend(outputs: Tensor, gates: Tensor) -> Tensor:
    return (gates.unsqueeze(-1) * outputs).sum(dim=1)


def _average(outputs: Tensor, gates: Tensor) -> Tensor:
    return outputs.mean(dim=1)


def _favourite(outputs: Tensor, gates: Tensor) -> Tensor:
    return outputs[torch.arange(len(outputs)), gates.argmax(dim=-1)]


def _over_tokens(outputs: Tensor, gates: Tensor) -> Tensor:
    return (gates.unsqueeze(-1) * outputs).sum(dim=0)


def _cases():
    draw = torch.Generator().manual_seed(0)
    for t, e, d in ((1, 2, 1), (2, 2, 1), (3, 4, 2), (20, 8, 5)):
        outputs = torch.randn(t, e, d, generator=draw)
        yield outputs, torch.randn(t, e, generator=draw).softmax(-1)


EXERCISES = [
    Exercise(
        "00.1",
        "the blend of the experts' answers",
        "Multiply each expert's answer by its share, then add up over the experts:"
        " the shares need one more dimension, gates.unsqueeze(-1).",
        blend,
        list(_cases()),
        {
            "a plain average: the gate's shares are not used": _average,
            "only the gate's favourite answers; all should, by share": _favourite,
            "summed over the tokens (dim 0) instead of the experts": _over_tokens,
        },
    )
]
