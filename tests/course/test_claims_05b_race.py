"""The race's claims are judged by the columns, and fail where the columns say so."""

import torch

from moe_lib.course.claims_05b_race import (
    HONEST,
    causal_claims,
    honest_bits,
    masked_claims,
)
from moe_lib.course.evidence import EXACT, FAILS, HOLDS

SEEDS = torch.tensor([0.0, 0.001, 0.002])
ARMS = ("dense", "GShard", "Switch", "hash", "Mixtral top-2", "expert choice")


def columns_of(last, **others):
    """Two checkpoints; the last has the given bits."""
    columns = {f"{a}: bits": torch.stack([SEEDS + 5, SEEDS + b], 1) for a, b in
               zip(ARMS, last, strict=True)}  # fmt: skip
    columns["expert choice: load cv"] = torch.zeros(3, 2)
    columns[HONEST] = SEEDS + 2.9
    return columns | others


def verdicts(claims):
    return {claim.id: claim.verdict for claim in claims}


def test_masked_claims_follow_the_bits():
    good = verdicts(masked_claims(columns_of([3.0, 2.8, 2.9, 2.95, 2.8, 2.7])))
    assert good.pop("M5.race-balance") == EXACT
    assert set(good.values()) == {HOLDS} and len(good) == 4
    uneven = {"expert choice: load cv": torch.tensor([[0.0, 0.1]] * 3)}
    bad = columns_of([3.0, 2.8, 2.9, 2.95, 2.8, 3.1], **uneven)
    assert set(verdicts(masked_claims(bad)).values()) == {FAILS}


def test_causal_claims_follow_the_honest_bits():
    columns = columns_of([3.0, 2.6, 2.7, 2.8, 2.6, 2.5])
    assert torch.equal(honest_bits(columns)["expert choice"], columns[HONEST])
    assert set(verdicts(causal_claims(columns)).values()) == {HOLDS}
    columns[HONEST] = SEEDS + 2.4  # better than with the future in sight
    columns["hash: bits"] = torch.stack([SEEDS + 5, SEEDS + 3.2], 1)
    found = verdicts(causal_claims(columns))
    for id in ("M5.race-leak", "M5.race-honest", "M6.order-sparse", "M6.order-hash"):
        assert found[id] == FAILS
    assert found["M6.order-switch"] == HOLDS
