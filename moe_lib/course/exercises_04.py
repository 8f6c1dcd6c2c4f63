"""The exercises of chapter 4, with their solutions; mistakes are in `mistakes_04`."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from moe_lib.course import mistakes_04 as mistakes
from moe_lib.course.cases import tenths
from moe_lib.course.exercises import Exercise


def switch_dispatch(
    expert: Tensor, num_experts: int, capacity_factor: float
) -> tuple[Tensor, Tensor]:
    capacity = math.ceil(capacity_factor * len(expert) / num_experts)
    arrivals = one_hot(expert, num_experts)  # [T, E]
    slots = (arrivals.cumsum(dim=0) * arrivals).sum(dim=1) - 1
    return slots, slots < capacity


def router_gradient(
    logits: Tensor, outputs: Tensor, kept: Tensor, upstream: Tensor
) -> Tensor:
    p = logits.softmax(dim=1)
    best = one_hot(logits.argmax(dim=1), logits.shape[1])  # [T, E]
    slope = (upstream * outputs).sum(dim=1) * kept  # dL/dp of the chosen, [T]
    chosen = (p * best).sum(dim=1)
    return (slope * chosen)[:, None] * (best - p)


def _dispatch_cases():
    draw = torch.Generator().manual_seed(2021)
    for tokens, experts, factor in (
        (1, 2, 1.0), (2, 2, 1.0), (3, 2, 1.0), (4, 2, 1.0), (6, 4, 1.25), (9, 4, 0.5),
        (12, 3, 1.5), (20, 8, 1.25), (64, 8, 1.0),
    ):  # fmt: skip
        drawn = torch.rand(tokens, generator=draw)
        yield (experts * drawn.square()).long(), experts, factor  # A is asked most
    yield torch.ones(5, dtype=torch.int64), 2, 0.5


def _gradient_cases():
    draw = torch.Generator().manual_seed(2021)
    for tokens, experts, width in ((1, 2, 1), (2, 2, 2), (3, 3, 2), (6, 4, 3)):
        kept = torch.ones(tokens, dtype=torch.int64)
        if tokens > 1:
            kept[1] = 0
        logits = tenths(draw, tokens, experts)
        yield logits, tenths(draw, tokens, width), kept, tenths(draw, tokens, width)


EXERCISES = [
    Exercise(
        "04.1",
        title="capacity and overflow",
        statement=(
            "Token $t$ goes to expert `expert[t]`. Give `(slots, kept)`: its place in"
            " that expert's queue, from 0 (also if it comes too late), and whether it"
            " has one of the $C$ places. $C$ is the capacity factor times tokens /"
            " experts, rounded up."
        ),
        lines=4,
        hint=(
            "one_hot(expert, num_experts) has a column for each expert; its cumsum"
            " over the tokens counts who came to each, this token included. Of T rows"
            " each has one column of interest: times the one-hot, summed."
        ),
        solution=switch_dispatch,
        cases=_dispatch_cases(),
        mistakes={
            "the slip of the paper's printed code: positions from 1, compared with <,"
            " waste a place of each expert": mistakes.printed,
            "slots count from 0, not from 1": mistakes.slots_from_one,
            "slots are right, but kept compares positions from 1 with <: a place of"
            " each expert is wasted": mistakes.kept_from_one,
            "with C places the last slot is C - 1: slot C is too late": (
                mistakes.one_too_many
            ),
            "round the capacity up, not down": mistakes.rounded_down,
            "each expert has C places, not all of them together": mistakes.one_queue,
            "an even share is tokens / experts: C is that times the factor": (
                mistakes.not_divided
            ),
            "nobody is ever too late: compare with the capacity": mistakes.unlimited,
            "the dropped keep their place in the queue; with 0 two tokens would be in"
            " slot 0": mistakes.dropped_to_0,
            "the first to come is served first, not the last": mistakes.last_first,
            "those are the tokens that are dropped": mistakes.dropped,
        },
    ),
    Exercise(
        "04.2",
        title="the gradient of the router",
        statement=(
            "Switch's output is $y_t = p_{t,i} o_t$, with $p$ the softmax of `logits`"
            " [T, E], $i$ the expert of the largest one and $o_t$ what it answers"
            " (`outputs` [T, D]); 0 where `kept` [T] is 0, not 1. Back comes `upstream`"
            " $=\\partial L/\\partial y$ [T, D]. Derive $\\partial L/\\partial"
            "\\,$`logits` [T, E], without autograd."
        ),
        lines=5,
        hint=(
            "First dL/dp_i: y is p_i times a vector, so it is the dot product of"
            " upstream and outputs. Then the softmax: dp_i/dh_j = p_i (1[i = j] - p_j),"
            " for all j, not only for i."
        ),
        solution=router_gradient,
        cases=_gradient_cases(),
        mistakes={
            "that is the gradient of a renormalised weight: it is always 1, and the"
            " router would never learn": mistakes.renormalised,
            "straight through: the weight is a probability, and its softmax has a slope"
            " p_i (1 - p_i)": mistakes.straight_through,
            "the other logits are in the softmax too: theirs is - p_i p_j": (
                mistakes.own_logit_alone
            ),
            "a dropped token's output is 0 whatever p is: no gradient": (
                mistakes.through_the_dropped
            ),
            "p_i is missing: 1[i = j] - p_j is the slope of log p_i": (
                mistakes.of_the_logarithm
            ),
            "p_i instead of its slope: the softmax has the slope p_i (1 - p_i)": (
                mistakes.times_p
            ),
            "for the other logits it is - p_i p_j, not p_j (1 - p_j)": (
                mistakes.own_slopes
            ),
            "the sum over the width is missing: a dot product of upstream and outputs,"
            " not of upstream alone": mistakes.without_outputs,
            "upstream is the gradient of the loss already: no mean over tokens": (
                mistakes.averaged
            ),
        },
        level="pencil first",
    ),
]
