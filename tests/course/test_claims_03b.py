"""The claims on split experts: computed, and wrong where the run is."""

import dataclasses

import pytest
import torch

from moe_lib.course.claims_03b import calculated_claims, cited_claims, split_claims
from moe_lib.course.evidence import CITED, EXACT, FAILS
from moe_lib.course.split_run import SplitRun, Tried
from moe_lib.course.traffic_remedies import D_MODEL, plain_and_remedies

ROWS = [[3, 5], [0, 2]]


def made_run() -> SplitRun:
    """As two ranks would write it, with ROWS routed."""
    sizes = torch.tensor(ROWS) * 2 * 4 * D_MODEL
    plain = 4 * 4 * D_MODEL * 5  # bytes that cross: 5 rows, four journeys
    factor = {"same": 4 * D_MODEL, "bfloat16": 2 * D_MODEL, "int8": D_MODEL + 4}
    tried = [
        Tried(r, [plain * factor[r.payload] // factor["same"]] * 2, *[[1.0]] * 5)
        for r in plain_and_remedies(8, 2)
    ]
    traffic = {"dispatch": sizes.tolist(), "combine": sizes.T.tolist()}
    typical = {"rows": ROWS, "traffic": traffic, "events": []}
    return SplitRun([8, 2], {"outputs": 1e-7, "gradient": 2e-7}, tried, typical)


def verdicts(*runs: SplitRun) -> dict[str, str]:
    return {claim.id: claim.verdict for claim in split_claims(*runs)}


def test_what_was_measured_right_is_exact():
    run = made_run()
    assert set(verdicts(run, run).values()) == {EXACT}
    split, cells, payloads = (claim.evidence for claim in split_claims(run, run))
    assert (split.cases, cells.cases, payloads.cases) == (4, 16, 8)
    assert "over 2 and 2 processes" in split_claims(run, run)[0].text
    with pytest.raises(ValueError, match="no runs: give at least one SplitRun"):
        split_claims()


def test_what_was_measured_wrong_is_seen():
    run = made_run()
    off = dataclasses.replace(run, differences={"outputs": 1e-4})
    assert verdicts(run, off) == {
        "M3.split": FAILS, "M3.bytes": EXACT, "M3.payload": EXACT,
    }  # fmt: skip
    other = {**run.typical, "rows": [[3, 5], [1, 2]]}
    assert verdicts(dataclasses.replace(run, typical=other))["M3.bytes"] == FAILS
    tried = list(run.tried)
    tried[1] = dataclasses.replace(tried[1], crossing=[1, 2])
    assert verdicts(dataclasses.replace(run, tried=tried))["M3.payload"] == FAILS


def test_the_calculated_ones_hold_but_for_cells_of_the_paper():
    claims = {claim.id: claim for claim in calculated_claims()}
    wrong = [id for id, claim in claims.items() if claim.verdict != EXACT]
    assert wrong == ["M3.columns"]
    assert claims["M3.columns"].evidence.worst == 2


def test_what_two_cores_cannot_show_is_cited_with_a_reason():
    claims = {claim.id: claim for claim in cited_claims()}
    assert {claim.verdict for claim in claims.values()} == {CITED}
    assert "11.3, hops counted 12" in claims["M3.nine"].evidence.here
    assert "3.82 times" in claims["M3.share"].evidence.here
    assert "3.7 and 4.0 times" in claims["M3.step"].evidence.here
