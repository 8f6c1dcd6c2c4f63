"""The exercises of chapter 5, with their solutions; mistakes are in `mistakes_05`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from moe_lib.course import mistakes_05 as mistakes
from moe_lib.course.capped_exercise import CAPPED
from moe_lib.course.cases import tenths
from moe_lib.course.exercises import Exercise


def choose_tokens(logits: Tensor, capacity_factor: float) -> tuple[Tensor, Tensor]:
    tokens, experts = logits.shape
    places = min(tokens, math.ceil(capacity_factor * tokens / experts))
    scores = logits.softmax(dim=1).T  # [E, T]
    weight, token = scores.topk(places, dim=1)
    return token, weight


def _cases():
    draw = torch.Generator().manual_seed(2040)  # no two scores of an expert tie
    for tokens, experts, factor in (
        (2, 2, 1.0), (3, 2, 1.0), (4, 2, 0.5), (4, 3, 2.0), (3, 4, 1.0), (5, 2, 2.0),
        (6, 4, 2.0), (9, 4, 0.5), (16, 4, 2.0), (30, 8, 1.25), (3, 2, 3.0),
    ):  # fmt: skip
        yield 2 * tenths(draw, tokens, experts), factor


EXERCISES = [
    Exercise(
        "05.1",
        title="expert choice from scratch",
        statement=(
            "Scores are the softmax of `logits` [T, E] over the experts. Each expert"
            " takes the $C$ tokens that score best with it. Give `(token, weight)`,"
            " both [E, C], an expert's best token first; the weight is the score. $C$"
            " is the capacity factor times T / E, rounded up, and T at most."
        ),
        lines=5,
        hint=(
            "softmax(dim=1), then .T: a row for each expert, a column for each token."
            " topk(C, dim=1) gives values and indices; mind their order in the answer."
        ),
        solution=choose_tokens,
        cases=_cases(),
        mistakes={
            "the softmax goes over tokens there: a token's scores should sum to 1, so"
            " dim=1 of the logits": mistakes.softmax_over_tokens,
            "the logits are ranked: a token with large logits everywhere would win"
            " everywhere, so softmax first": mistakes.logits_ranked,
            "those weights are the logits: the weight is the softmaxed score": (
                mistakes.logits_as_weights
            ),
            "the weights of a token need not sum to 1 here: no renormalising": (
                mistakes.renormalised
            ),
            "the weights of an expert need not sum to 1: take the scores as they are": (
                mistakes.renormalised_by_expert
            ),
            "round the capacity up, not down": mistakes.rounded_down,
            "an even share is T / E: C is that times the factor": (
                mistakes.without_factor
            ),
            "that are the worst tokens of each expert": mistakes.the_worst,
            "the right tokens in the order of the text: the best comes first": (
                mistakes.by_position
            ),
            "each expert took the next best tokens: the best one is missing": (
                mistakes.one_off
            ),
            "(token, weight), not (weight, token)": mistakes.swapped,
        },
    ),
    *CAPPED,
]
