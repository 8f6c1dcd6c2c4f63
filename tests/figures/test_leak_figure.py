"""The leak's figures tell what the data says."""

import torch

from moe_lib.course.leak_setup import Setup, ways_to_choose
from moe_lib.figures.leak import SHOWN, leak_costs, leak_map


def test_the_map_marks_those_that_move_and_no_other():
    moved = {"top-2": torch.zeros(5), "expert choice": torch.tensor([0, 0.5, 0, 1, 2])}
    fig = leak_map(moved, text="moved")
    squares = [list(t.x) for t in fig.data if t.marker.symbol == "square"]
    assert squares == [[], [1, 3, 4]]
    assert "top-2: 0 of 5; expert choice: 3 of 5" in fig.layout.meta["alt"]
    assert any("3 move" in note.text for note in fig.layout.annotations)


def test_costs_show_every_seed_of_every_arm():
    arms = list(ways_to_choose(Setup()))
    draw = torch.Generator().manual_seed(0)
    columns = {f"{arm}: {what}": torch.rand(3, generator=draw)
               for arm in arms for _, what, _ in SHOWN}  # fmt: skip
    fig = leak_costs(columns)
    assert [len(trace.x) for trace in fig.data] == [3 * len(arms)] * len(SHOWN)
    first = columns[f"{arms[0]}: read"].tolist()
    assert list(fig.data[0].x)[:3] == first
    assert all(arm in fig.layout.meta["alt"] for arm in arms)
