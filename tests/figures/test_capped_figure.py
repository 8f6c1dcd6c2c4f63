"""The capped figure shows what the routing does, frame by frame."""

import pytest
import torch

from moe_lib.course.capped_programme import (
    by_library,
    by_rounds,
    example_scores,
    experts_per_token,
)
from moe_lib.figures.capped import LEAST, ROUNDS, capped_choice


@pytest.mark.parametrize("theme", ["both", "light", "dark"])
def test_bars_and_lines_are_those_of_the_plan(theme):
    scores = example_scores(64)
    fig = capped_choice(scores, 8, (8, 2, 1), theme=theme)
    assert fig.to_json()
    free = torch.bincount(experts_per_token(scores, 8)).tolist()
    assert list(fig.data[0].y)[: len(free)] == free
    assert [frame.name for frame in fig.frames] == ["8", "2", "1"]
    assert {frame.data[0].type for frame in fig.frames} == {"bar"}
    for cap, frame in zip((8, 2, 1), fig.frames, strict=True):
        plan = by_library(scores, 8, cap, 0.001, 100)
        counts = torch.bincount(experts_per_token(plan, 8)).tolist()
        assert list(frame.data[0].y)[: len(counts)] == counts
        found = by_rounds(by_library, scores, 8, cap, rounds=ROUNDS)
        columns = [max(found[n].column, LEAST) for n in ROUNDS]
        assert list(frame.data[2].y) == pytest.approx(columns)
    assert list(fig.frames[0].data[0].y) == list(fig.data[0].y)  # b = E is no cap
    assert f"up to {len(free) - 1}" in fig.layout.meta["alt"]


def test_what_it_refuses():
    scores = example_scores(16)
    with pytest.raises(ValueError, match="caps is empty: give at least one"):
        capped_choice(scores, 2, ())
    with pytest.raises(ValueError, match="slots=4: give at most 2, which 16 tokens"):
        capped_choice(scores, 4, (1,))
    with pytest.raises(ValueError, match="theme='sepia': choose one of"):
        capped_choice(scores, 2, (1,), theme="sepia")
