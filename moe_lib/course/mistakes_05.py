"""The mistakes that exercise 05.1 recognises; those of 05.2 stand in their own file."""

from __future__ import annotations

import math

from torch import Tensor

Chosen = tuple[Tensor, Tensor]


def _places(logits: Tensor, factor: float) -> int:
    tokens, experts = logits.shape
    return min(tokens, math.ceil(factor * tokens / experts))


def _best(scores: Tensor, places: int) -> Chosen:
    """Of scores ``[T, E]``: tokens and their scores, ``[E, C]``."""
    weight, token = scores.T.topk(places, dim=1)
    return token, weight


def _right(logits: Tensor, factor: float) -> Chosen:
    return _best(logits.softmax(dim=1), _places(logits, factor))


def softmax_over_tokens(logits: Tensor, factor: float) -> Chosen:
    return _best(logits.softmax(dim=0), _places(logits, factor))


def logits_ranked(logits: Tensor, factor: float) -> Chosen:
    token, _ = _best(logits, _places(logits, factor))
    return token, logits.softmax(dim=1).T.gather(1, token)


def logits_as_weights(logits: Tensor, factor: float) -> Chosen:
    token, _ = _right(logits, factor)
    return token, logits.T.gather(1, token)


def renormalised(logits: Tensor, factor: float) -> Chosen:
    token, weight = _right(logits, factor)
    sums = logits.new_zeros(len(logits)).index_add(0, token.flatten(), weight.flatten())
    return token, weight / sums[token]


def renormalised_by_expert(logits: Tensor, factor: float) -> Chosen:
    token, weight = _right(logits, factor)
    return token, weight / weight.sum(dim=1, keepdim=True)


def rounded_down(logits: Tensor, factor: float) -> Chosen:
    tokens, experts = logits.shape
    places = min(tokens, int(factor * tokens / experts))
    return _best(logits.softmax(dim=1), places)


def without_factor(logits: Tensor, factor: float) -> Chosen:
    return _right(logits, 1.0)


def the_worst(logits: Tensor, factor: float) -> Chosen:
    scores = logits.softmax(dim=1).T
    weight, token = scores.topk(_places(logits, factor), dim=1, largest=False)
    return token, weight


def by_position(logits: Tensor, factor: float) -> Chosen:
    token, _ = _right(logits, factor)
    token = token.sort(dim=1).values
    return token, logits.softmax(dim=1).T.gather(1, token)


def one_off(logits: Tensor, factor: float) -> Chosen:
    scores = logits.softmax(dim=1).T
    order = scores.argsort(dim=1, descending=True).roll(-1, 1)
    token = order[:, : _places(logits, factor)]
    return token, scores.gather(1, token)


def swapped(logits: Tensor, factor: float) -> Chosen:
    token, weight = _right(logits, factor)
    return weight, token
