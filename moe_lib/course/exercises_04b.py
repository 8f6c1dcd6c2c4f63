"""The exercises of chapter 4b, with their solutions; mistakes are in `mistakes_04b`."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from moe_lib.course import mistakes_04b as mistakes
from moe_lib.course.exercises import Challenge, Exercise


def route(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    logits = x.float() @ weight.float().T
    probs = logits.softmax(dim=1)
    best, expert = probs.max(dim=1)
    return expert, best.to(x.dtype)


def _sixteenths(draw: torch.Generator, *shape: int, below: int) -> Tensor:
    """Multiples of 1/16: exact in bf16, their products and sums in float32."""
    drawn = torch.randint(-16 * below, 16 * below + 1, shape, generator=draw)
    return (drawn / 16).bfloat16()


def _undecided(draw: torch.Generator, each: int, d: int, experts: int) -> Iterator:
    """Tokens whose expert is lost with the logits' bits, or with the softmax's."""
    weight = _sixteenths(draw, experts, d, below=1)
    x = [_sixteenths(draw, 20_000, d, below=size) for size in (1, 4)]
    x = torch.cat(x)[torch.randperm(40_000, generator=draw)]
    logits = x.float() @ weight.float().T
    best = logits.topk(2, dim=1).values
    clear = best[:, 0] > best[:, 1]
    expert = logits.argmax(dim=1)
    early = logits.bfloat16().argmax(dim=1) != expert
    late = logits.softmax(dim=1).bfloat16().argmax(dim=1) != expert
    kinds = (clear & early & ~late, clear & late & ~early, clear & ~early & ~late)
    rows = [kind.nonzero()[:each, 0] for kind in kinds]
    yield x[torch.cat(rows)], weight


def _cases() -> Iterator[tuple[Tensor, Tensor]]:
    draw = torch.Generator().manual_seed(2021)
    yield torch.tensor([[1.0, -0.5]]).bfloat16(), torch.eye(2).bfloat16()
    for each, d, experts in ((1, 3, 3), (1, 4, 3), (2, 4, 4), (4, 6, 4), (8, 6, 8)):
        yield from _undecided(draw, each, d, experts)


EXERCISES = [
    Exercise(
        "04b.1",
        title="a router's island of float32",
        statement=(
            "The model computes in bf16: `x` [T, d] and the router's `weight` [E, d]"
            " are. Answer each token's expert, int64 [T], and its combine weight [T],"
            " the expert's probability. No expert may change because of bf16; what"
            " leaves the router is as small as what came in, in `x.dtype`."
        ),
        lines=4,
        hint=(
            "Convert both, x and weight, before the product. Softmax and max stay in"
            " float32. One number of each token is cast back, at the very end."
        ),
        solution=route,
        cases=_cases(),
        mistakes={
            "the logits are rounded already: a product of bf16 is bf16, and float()"
            " after it brings no bit back": mistakes.bfloat16_product,
            "logits and softmax are in bf16: convert x and weight to float32 first": (
                mistakes.bfloat16_softmax
            ),
            "the probabilities are cast before the largest is sought: two that differ"
            " may become one number": mistakes.argmax_after_the_cast,
            "the weight leaves in float32: what is sent to experts should be as small"
            " as x, so .to(x.dtype)": mistakes.float32_weight,
            "that weight is the logit: it should be the probability": (
                mistakes.logit_as_weight
            ),
            "the weight is divided by itself: 1 for every token, without a gradient to"
            " the router": mistakes.renormalised,
            "the softmax goes over tokens: dim=1 are the experts": (
                mistakes.softmax_over_tokens
            ),
        },
        level="warm-up",
    ),
]

LEADERBOARD = Challenge("04b.2", "a better model in 60 seconds")
CHALLENGES = (LEADERBOARD,)
