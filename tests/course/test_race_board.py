"""The board shows the stored race, with the honest bits of expert choice."""

import torch

from moe_lib.course.measurements import stored
from moe_lib.course.race_board import race_board, runs_board
from moe_lib.course.race_runs import run_race
from moe_lib.course.race_setup import Setup, choosing
from moe_lib.data.text import load_text


def test_rows_are_the_stored_means_the_best_first():
    columns = dict(stored("05b-race-masked"))
    board = race_board(columns)
    means = [float(row[1].split(" ")[0]) for row in board.rows]
    assert means == sorted(means) and len(means) == 8
    rows = {row[0]: row[1:] for row in board.rows}
    for name, row in rows.items():
        last = columns[f"{name}: bits"][:, -1]
        assert row[0] == f"{last.mean():.3f} ± {last.std():.3f}"
        weights = columns[f"{name}: parameters"][0].item()
        assert row[5:] == [f"{weights / 1e3:,.0f}", f"{weights * 16 / 1e6:.1f}"]
    assert rows["dense"][1:4] == ["", "", ""]
    assert rows["expert choice"][1] == "0.00 ± 0.00" and rows["Switch"][3] != ""


def test_what_saw_the_future_counts_as_it_writes():
    columns = dict(stored("05b-race-causal"))
    rows = {row[0]: row[1] for row in race_board(columns).rows}
    written = columns["expert choice: step by step"].mean()
    read = columns["expert choice: bits"][:, -1].mean()
    assert rows["expert choice"].startswith(f"{written:.3f} ± ")
    assert f"(looking ahead {read:.3f} ± " in rows["expert choice"]
    columns["expert choice: step by step"] = torch.full((3,), 9.0)
    assert race_board(columns).rows[-1][0] == "expert choice"


def test_a_short_race_is_a_board_too():
    small = Setup(d_model=16, d_ff=16, num_experts=4, steps=3, warmup=1, tokens=256)
    setups = {"Switch": choosing(small, "Switch", 1), "mine": small.but(router="hash")}
    board = runs_board(run_race(setups, load_text(400_000)), "mine")
    assert {row[0] for row in board.rows} == {"Switch", "▶ mine"}
    assert all("±" not in row[1] for row in board.rows)
    assert repr(board) == "2 routers by bits per byte"


def test_who_looked_ahead_in_a_short_race_is_marked():
    for masked in (False, True):
        small = Setup(d_model=16, d_ff=16, num_experts=4, steps=1, warmup=1,
                      tokens=256, masked=masked)  # fmt: skip
        setups = {"expert choice": choosing(small, "expert choice", 2)}
        (row,) = runs_board(run_race(setups, load_text(400_000))).rows
        assert ("(looking ahead)" in row[1]) is not masked
