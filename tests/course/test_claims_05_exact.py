"""Chapter 5's identities are exact, and a wrong version would fail."""

import math

import torch

from moe_lib.course import claims_05_exact as claims
from moe_lib.course.evidence import EXACT, FAILS
from moe_lib.course.switch_layer import CLOSE, by_expert_choice, differences
from moe_lib.routers import TopKRouter


def verdicts(worst):
    return {claim.id: claim.verdict for claim in claims.exact_claims(worst)}


def by_loop(x, w, experts, factor, slip=""):
    """Expert by expert, token by token."""
    tokens, number = len(x), len(w)
    scores = (x @ w.T).softmax(dim=0 if slip == "over tokens" else 1)
    places = min(tokens, math.ceil(factor * tokens / number))
    y = torch.zeros_like(x)
    for e in range(number):
        ranked = sorted(range(tokens), key=lambda t: -scores[t, e].item())
        for t in ranked[:places]:
            weight = scores[t, e].detach() if slip == "detached" else scores[t, e]
            row = weight * experts.one(e, x[t : t + 1])
            y = y.index_add(0, torch.tensor([t]), row)
    return y


def test_a_loop_is_the_library_s_layer_and_slips_are_not():
    def over_tokens(*case):
        return by_loop(*case, slip="over tokens")

    def detached(*case):
        return by_loop(*case, slip="detached")

    versions = (by_loop, over_tokens, detached)
    worst = differences(*versions, cases=24, router_of=by_expert_choice)
    assert worst["by_loop"].max() < CLOSE
    assert worst["over_tokens"][0] > 0.1
    assert worst["detached"][0] < CLOSE < 0.1 < worst["detached"][2]


def test_identities_are_exact():
    found = verdicts({"mine": torch.full((4,), 1e-7)})
    assert len(found) == 7 and set(found.values()) == {EXACT}


def test_they_can_fail(monkeypatch):
    def top_k(d_model, num_experts, capacity_factor):
        return TopKRouter(d_model, num_experts, top_k=1)

    monkeypatch.setattr(claims, "ExpertChoiceRouter", top_k)
    found = verdicts({"mine": torch.tensor([0, 0, 1e-3, 0])})
    assert set(found.values()) == {FAILS}
