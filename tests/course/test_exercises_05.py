"""Exercise 05.1 takes every right answer, and asks for the bound on the capacity."""

import math

from moe_lib.course.checking import check
from moe_lib.course.exercises import find

ITEM = find("05.1")


def places(logits, capacity_factor):
    tokens, experts = logits.shape
    return min(tokens, math.ceil(capacity_factor * tokens / experts))


def by_hand(logits, capacity_factor):
    power = logits.exp()
    scores = (power / power.sum(dim=1, keepdim=True)).T
    weight, token = scores.topk(places(logits, capacity_factor), dim=1)
    return token, weight


def by_logarithms(logits, capacity_factor):
    scores = (logits - logits.logsumexp(dim=1, keepdim=True)).exp().T
    order = scores.argsort(dim=1, descending=True, stable=True)
    token = order[:, : places(logits, capacity_factor)]
    return token, scores.gather(1, token)


def test_a_softmax_with_other_rounding_is_right_too():
    assert check(ITEM, by_hand).passed and check(ITEM, by_logarithms).passed


def test_no_two_scores_of_an_expert_tie():
    for logits, _ in ITEM.cases:
        scores = logits.softmax(dim=1).sort(dim=0).values
        assert scores.diff(dim=0).min() > 1e-5


def test_more_places_than_tokens_are_among_the_cases():
    def without_bound(logits, capacity_factor):
        tokens, experts = logits.shape
        asked = math.ceil(capacity_factor * tokens / experts)
        weight, token = logits.softmax(dim=1).T.topk(asked, dim=1)
        return token, weight

    assert "out of range" in check(ITEM, without_bound).message
