"""Chapter 5's encoders: arms at one arithmetic, columns, claims, tables."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import made_up_pretraining
from moe_lib.course import claims_05_dilemma, claims_05_pretraining, pretraining_tables
from moe_lib.course import measurements_05_dilemma as dilemma
from moe_lib.course import measurements_05_pretraining as long
from moe_lib.course.evidence import EXACT, FAILS, HOLDS
from moe_lib.course.placed import routing_of
from moe_lib.course.race_runs import heldout_batch, run_race
from moe_lib.course.race_setup import Setup
from moe_lib.data import domain_text
from moe_lib.data.text import load_text
from moe_lib.models.byte_tables import NO_BYTE
from moe_lib.routers import ExpertChoiceRouter

TINY = Setup(masked=True, num_experts=4, d_model=16, d_ff=16, num_heads=2, steps=2,
             tokens=128, warmup=1)  # fmt: skip


@pytest.fixture
def few_stretches(monkeypatch):
    """Little text: 4 held-out stretches of a domain instead of 64."""
    monkeypatch.setattr(domain_text, "STRETCHES", 4)
    text = load_text(60_000, heldout_share=0.4)
    for module in (long, dilemma):
        monkeypatch.setattr(module, "load_text", lambda: text)
    return text


def verdicts(found):
    return {claim.id: claim.verdict for claim in found}


def test_all_arms_multiply_alike_but_the_one_of_half_the_work():
    setups = long.arms(Setup(masked=True), 12)
    assert tuple(setups) == long.ARMS
    active = {arm: s.feed_forward.d_ff for arm, s in setups.items() if arm != "dense"}
    assert active.pop(long.HALF) == 64
    assert set(active.values()) == {128}
    assert len({s.num_experts * s.d_ff for s in setups.values() if not s.dense}) == 1
    assert setups["dense"].flops >= max(s.flops for s in setups.values())
    assert setups[f"{long.CHOICE}, cap 3"].cap == 3


@given(
    tokens=st.integers(4, 40), experts=st.integers(2, 8), factor=st.sampled_from([1, 2])
)
def test_served_counts_the_experts_of_each_token(tokens, experts, factor):
    router = ExpertChoiceRouter(3, experts, capacity_factor=factor)
    torch.manual_seed(tokens)
    routing = router(torch.randn(tokens, 3))
    shares = long.served(routing)
    per_token = (routing.dense() > 0).sum(dim=1)
    expected = [(per_token == n).sum() / tokens for n in range(long.MOST)]
    expected.append((per_token >= long.MOST).sum() / tokens)
    assert torch.allclose(shares, torch.stack(expected))


def test_the_batch_that_is_judged_hides_every_seventh_byte(few_stretches):
    plain, hidden = (heldout_batch(few_stretches, masked) for masked in (False, True))
    changed = plain != hidden
    assert changed[:, 3::7].all() and changed.sum() == changed[:, 3::7].numel()
    assert (hidden[changed] == NO_BYTE).all()


def test_the_columns_hold_every_arm_and_task(few_stretches):
    config = {
        "base": TINY.config, "checkpoints": (1,), "cap_iterations": 3,
        "tasks": ["name to kind"], "examples": {"max_per_class": 6, "test_share": 0.5},
        "fine_tuning": {"steps": 1}, "w_balance": 0.01,
    }  # fmt: skip
    columns = long.measure_pretraining(config, [0])
    for arm in long.ARMS:
        assert columns[f"{arm}: bits"].shape == (1, 1)
        for side in ("test", "train"):
            right = columns[f"{arm}: name to kind: {side} accuracy"]
            assert right.shape == (1,) and 0 <= right <= 1
        if arm != "dense":
            assert columns[f"{arm}: served"].sum().item() == pytest.approx(1)
    assert (columns[f"{long.CHOICE}: load cv"] == 0).all()
    assert columns["top-1 + loss: served"][0].tolist() == [0, 1, 0, 0, 0, 0]


def test_the_dilemma_s_columns_hold_every_coefficient(few_stretches):
    config = {"base": TINY.config, "coefficients": (0, 1)}
    columns = dilemma.measure_dilemma(config, [0])
    for arm in ("0", "1", dilemma.CHOICE):
        for what in ("bits", "similarity", "max_over_mean", "cv_load"):
            assert columns[f"{arm}: {what}"].shape == (1, 1)
    assert columns[f"{dilemma.CHOICE}: max_over_mean"].item() == 1
    assert columns["0: max_over_mean"] > 1
    assert columns["untrained: similarity"].shape == (1,)


def test_what_the_papers_say_holds_of_made_up_columns_and_fails_reversed():
    columns = made_up_pretraining.pretraining()
    found = verdicts(claims_05_pretraining.pretraining_claims(columns))
    assert set(found.values()) == {HOLDS}
    worse = {name: -v if "accuracy" in name else v for name, v in columns.items()}
    choice = columns[f"{long.CHOICE}: bits"] + 1  # never reaches top-2
    reversed_ = verdicts(
        claims_05_pretraining.pretraining_claims(
            {**worse, f"{long.CHOICE}: bits": choice,
             f"{long.CHOICE}: served": torch.tensor([[0.0, 0, 0, 0.5, 0.5, 0]] * 3)}
        )
    )  # fmt: skip
    failing = ["tasks-top2", "tasks-dense", "cap-2", "steps-half", "factor-1",
               "served-most", "served-none"]  # fmt: skip
    assert {reversed_[f"M5.{name}"] for name in failing} == {FAILS}


def test_the_dilemma_s_claims_hold_of_made_up_columns_and_fail_reversed():
    columns = made_up_pretraining.dilemma()
    found = verdicts(claims_05_dilemma.dilemma_claims(columns))
    assert found.pop("M5.dilemma-even") == EXACT
    assert set(found.values()) == {HOLDS}
    worse = {name: -v for name, v in columns.items()}
    found = verdicts(claims_05_dilemma.dilemma_claims(worse))
    assert set(found.values()) == {FAILS}


def test_steps_to_top_2_are_its_own_and_infinite_for_who_never_gets_there():
    columns = made_up_pretraining.pretraining()
    steps = claims_05_pretraining.steps_to_top_2
    assert (steps(columns, long.TOP_2) == long.MARKS[-1]).all()
    assert steps(columns, "dense").isinf().all()
    assert torch.allclose(steps(columns, long.CHOICE), torch.tensor(200.0).double())


def test_the_quick_run_is_even_at_every_checkpoint(few_stretches):
    setups = {"expert choice": long.arms(TINY, 3)[long.CHOICE]}
    runs = run_race(setups, few_stretches, 0, (1, 2))
    (claim,) = claims_05_pretraining.quick_claims(runs)
    assert claim.verdict == EXACT and claim.evidence.cases == 2
    runs["expert choice"].more["load cv"][0] = 0.1
    assert claims_05_pretraining.quick_claims(runs)[0].verdict == FAILS
    assert routing_of(runs["expert choice"].model, heldout_batch(few_stretches, True))


def test_the_tables_hold_the_paper_s_numbers_and_ours():
    columns = made_up_pretraining.pretraining()
    table = pretraining_tables.tasks_table(columns)
    rows = {row[0]: row for row in table.rows}
    assert list(rows) == list(long.ARMS)
    assert rows["top-1 + loss"][-2:] == ("78.4", "80.6")
    assert rows[long.CHOICE][1] == "62.0 ± 0.2"
    steps = {row[0]: row for row in pretraining_tables.steps_table(columns).rows}
    assert steps["dense"][2] == "not reached"
    assert steps[long.CHOICE][2] == "200 ± 0"
    assert not any(map(str.isdigit, repr(table)))
    served = {row[0]: row for row in pretraining_tables.served_table(columns).rows}
    assert served[long.CHOICE][1:] == ("5.0", "30.0", "40.0", "24.0", "1.0")
    assert "hash" not in served
