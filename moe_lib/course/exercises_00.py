"""The warm-up of chapter 0."""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.course.cases import shares, tenths
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
    for t, e, d in ((1, 2, 1), (2, 2, 1), (1, 2, 3), (2, 3, 1), (3, 4, 2), (20, 8, 5)):
        yield tenths(draw, t, e, d).float(), shares(draw, t, e).float()


EXERCISES = [
    Exercise(
        "00.1",
        title="the blend of the experts' answers",
        statement=(
            "The mixture's answer $y$: each expert's answer times its share, added up."
        ),
        lines=1,
        hint=(
            "Multiply each expert's answer by its share, then add up over the experts:"
            " the shares need one more dimension, gates.unsqueeze(-1)."
        ),
        solution=blend,
        cases=_cases(),
        mistakes={
            "a plain average: the gate's shares are not used": _average,
            "only the gate's favourite answers; all should, by share": _favourite,
            "summed over the tokens (dim 0) instead of the experts": _over_tokens,
        },
        level="warm-up",
    )
]
