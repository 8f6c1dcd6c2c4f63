"""Chapter 4's identities are exact, and a wrong version would fail."""

import torch

from moe_lib.course import claims_04_exact as claims
from moe_lib.course.evidence import EXACT, FAILS


def verdicts(some):
    return {claim.id: claim.verdict for claim in some}


def test_identities_are_exact():
    found = claims.layer_claims({"mine": torch.full((4,), 1e-7)})
    found += claims.loss_claims()
    assert list(verdicts(found)) == [
        "M4.layer", "M4.dense-is-one-expert", "M4.gradient", "M4.capacity", "M4.half",
        "M4.slips", "M4.loss", "M4.loss-gradient", "M4.loss-gshard",
    ]  # fmt: skip
    assert set(verdicts(found).values()) == {EXACT}


def test_they_can_fail(monkeypatch):
    monkeypatch.setattr(
        claims, "load_balancing_loss", lambda r: r.router_probs.square().mean()
    )
    monkeypatch.setattr(claims, "router_gradient", lambda h, o, kept, g: 0 * h)
    monkeypatch.setattr(claims, "dense_differences", lambda: (1, 60))
    monkeypatch.setattr(claims, "slips_off", lambda: 1)
    monkeypatch.setattr(claims, "capacity_off", lambda: (1.0, 112, "shapes"))
    monkeypatch.setattr(claims, "balanced_logits", lambda e, t: torch.eye(e)[[0] * t])
    found = claims.layer_claims({"mine": torch.tensor([0, 0, 1e-3, 0])})
    found += claims.loss_claims()[:2]
    assert set(verdicts(found).values()) == {FAILS}
