"""Chapter 4's ladder of experts: ratios, tables and claims, on made-up columns."""

import pytest
import torch

import made_up_ladder
from moe_lib.course.claims_04_scaling import (
    arithmetic_claim,
    cited_claims,
    ladder_claims,
    table_1_claims,
)
from moe_lib.course.scaling_ladder import Ladder, ladder_of_runs
from moe_lib.course.scaling_tables import PAPER, memory_table, speed_up_table, table_1
from moe_lib.course.switch_runs import train_in_turns
from moe_lib.course.switch_setup import Setup, as_much_arithmetic
from moe_lib.data.text import load_text

GOOD = made_up_ladder.ladder(top_2=-0.02)
BAD = made_up_ladder.ladder(gain=-0.05, pace=2.5, top_2=0.03)


def test_who_is_who():
    assert GOOD.dense == "dense at 0.014" and GOOD.best("large") == "large at 0.007"
    assert list(GOOD.rungs) == [2, 4, 8, 16, 32] and GOOD.standard == "switch 16"
    assert GOOD.row("switch", 1.25) == "switch 16"
    assert GOOD.row("top-2", 1) == "top-2, 1" and GOOD.row("top-2", 3) is None
    with pytest.raises(ValueError, match="router='dense': choose one of"):
        GOOD.row("dense", 1)
    with pytest.raises(ValueError, match="no dense arm in switch 2: train one"):
        Ladder({"switch 2: seconds": 0}, {"switch 2": Setup()}, (1,))


def test_ratios_follow_from_the_curves():
    steps = GOOD.speed_up("switch 16", "steps")  # 0.2 bits ahead, 0.3 for a factor e
    expected = torch.tensor(0.2 / 0.3).exp().double()
    assert torch.allclose(steps, expected.expand(3), rtol=0.01)
    assert torch.allclose(GOOD.speed_up("switch 16", "seconds"), steps / 1.5)
    assert GOOD.speed_up(GOOD.dense, "steps").tolist() == [1, 1, 1]
    assert BAD.speed_up("switch 16", "seconds").tolist() == [0, 0, 0]
    fast, slow = GOOD.at_equal_time("switch 16", "large at 0.007")
    assert torch.equal(fast, GOOD.bits("switch 16")[:, -1]) and (slow > fast).all()


def test_the_tables():
    rows = speed_up_table(GOOD).rows
    assert [row[0] for row in rows][1:6] == list(GOOD.rungs.values())
    assert rows[4][1:3] == ("399,488", "198,656") and rows[0][5] == "1.00 ± 0.00"
    assert rows[4][5].startswith("1.9") and rows[4][6].startswith("1.3")
    assert speed_up_table(BAD).rows[4][5:] == ("not reached", "not reached")
    totals = [float(row[-1]) for row in memory_table(GOOD).rows]
    assert totals == sorted(totals) and len(totals) == 6
    paper = table_1(GOOD)
    assert len(paper.rows) == len(PAPER) and "| 62.8" in paper.rows[7][4]
    assert paper.rows[0][3].endswith("| \N{MINUS SIGN}1.731")
    assert paper.rows[0][4].endswith("| not reached")
    assert table_1(BAD).rows[5][4] == "not reached | 65.0"
    assert paper.rows[8][2] == "-"


def test_a_level_that_one_seed_misses_is_told():
    columns = made_up_ladder.columns()
    columns["switch 4: bits"][0] += 1
    row = speed_up_table(made_up_ladder.ladder_of(columns)).rows[2]
    assert row[5:] == ("not reached in 1 of 3",) * 2


def verdicts(ladder):
    claims = [*ladder_claims(ladder), *table_1_claims(ladder)]
    return {claim.id: claim.verdict for claim in claims}


def test_both_verdicts_can_occur():
    good, bad = verdicts(GOOD), verdicts(BAD)
    turned = {"M4.top-2-roomy"}
    same = {"M4.top-1-faster", "M4.lower-capacity-time"}
    for name in good.keys() - turned - same:
        assert (good[name], bad[name]) == ("holds", "does not hold here"), name
    assert good["M4.top-2-roomy"] == "does not hold here"
    assert bad["M4.top-2-roomy"] == "holds"
    columns = made_up_ladder.columns()
    for arm in ("switch 16, 2", "top-2, 1.25"):
        columns[f"{arm}: seconds"] = columns[f"{arm}: seconds"] / 3
    changed = verdicts(made_up_ladder.ladder_of(columns))
    assert good["M4.top-1-faster"] == "holds"
    assert changed["M4.top-1-faster"] == "does not hold here"
    columns["switch 16, 2: seconds"] = columns["switch 16, 2: seconds"] * 9
    slow = verdicts(made_up_ladder.ladder_of(columns))
    assert slow["M4.lower-capacity-time"] == "holds"
    assert changed["M4.lower-capacity-time"] == "does not hold here"


def test_equal_arithmetic_is_exact():
    claim = arithmetic_claim()
    assert claim.verdict == "exact" and claim.evidence.cases == 21


def test_claims_have_names_of_their_own():
    claims = [
        arithmetic_claim(), *ladder_claims(GOOD), *table_1_claims(GOOD),
        *cited_claims(),
    ]  # fmt: skip
    names = [claim.id for claim in claims]
    assert len(set(names)) == len(names) == 21
    assert {claim.verdict for claim in cited_claims()} == {"cited only"}


def test_own_runs_make_a_ladder():
    small = Setup(num_experts=2, d_model=8, d_ff=8, num_heads=2, tokens=128, warmup=1)
    setups = {"dense": as_much_arithmetic(small), "switch": small}
    runs = train_in_turns(setups, load_text(max_bytes=180_000), checkpoints=(1, 2))
    ladder = ladder_of_runs(runs)
    assert ladder.dense == "dense" and ladder.standard == "switch"
    assert ladder.parameters("switch") == runs["switch"].parameters
    assert ladder.bits("switch").shape == (1, 2)
    assert len(speed_up_table(ladder).rows) == 2
