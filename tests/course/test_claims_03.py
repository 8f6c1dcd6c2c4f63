"""Chapter 3's claims on routing: judged from values, and able to fail."""

import dataclasses

import torch

from moe_lib.course import claims_03
from moe_lib.course.evidence import EXACT, FAILS, HOLDS
from moe_lib.course.overflow import drops_by_balance, drops_by_factor
from moe_lib.course.second_expert import run_lottery

NONE_WRONG = {"by_hand": torch.zeros(4), "vectorised": torch.zeros(4)}


def verdicts(claims):
    return {claim.id: claim.verdict for claim in claims}


def test_identities_are_exact():
    claims = claims_03.algorithm_claims(NONE_WRONG) + claims_03.loss_claims()
    assert set(verdicts(claims).values()) == {EXACT}
    one_wrong = {**NONE_WRONG, "vectorised": torch.tensor([0, 0, 1, 0])}
    algorithm = claims_03.algorithm_claims(one_wrong)[0]
    assert (algorithm.id, algorithm.verdict) == ("M3.algorithm", FAILS)


def test_drops_are_judged_and_none_is_a_close_call():
    curves, balance = drops_by_factor(), drops_by_balance()
    lottery = run_lottery()
    claims = claims_03.drop_claims(curves, balance, lottery)
    assert verdicts(claims) == {
        "M3.groups": HOLDS,
        "M3.binomial": HOLDS,
        "M3.imbalance": HOLDS,
        "M3.lottery": HOLDS,
        "M3.printed": EXACT,
    }
    assert not any(claim.evidence.fragile for claim in claims)
    moved = dataclasses.replace(lottery, moved=3)
    worse = claims_03.drop_claims(curves[::-1], balance, moved)
    assert verdicts(worse)["M3.groups"] == verdicts(worse)["M3.printed"] == FAILS


def test_the_deviations_are_seen():
    assert claims_03.einsums_off(12) < 1e-12
    assert claims_03.overflow_output(30) == 0
    assert claims_03.gradient_off(12) < 1e-12
    wrong, shapes, _ = claims_03.capacity_off()
    assert wrong == 0 and shapes > 100
