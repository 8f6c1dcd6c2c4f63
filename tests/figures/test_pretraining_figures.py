"""The pictures of chapter 5's encoders show what they are given."""

import pytest

import made_up_pretraining
from moe_lib.course.claims_05_pretraining import right_answers
from moe_lib.course.measurements_05_dilemma import COEFFICIENTS
from moe_lib.course.measurements_05_pretraining import ARMS, TOP_2
from moe_lib.figures.dilemma import PANELS, dilemma
from moe_lib.figures.pretraining import LINES, steps_to_the_same_loss, tasks_dots

THEMES = pytest.mark.parametrize("theme", ["both", "light", "dark"])


@THEMES
def test_the_dilemma_has_a_mark_for_each_seed_and_a_level_for_expert_choice(theme):
    columns = made_up_pretraining.dilemma()
    fig = dilemma(columns, theme=theme)
    assert fig.to_json()
    marks = [t for t in fig.data if t.mode == "markers"]
    levels = [t for t in fig.data if t.name and t.name.startswith("expert choice")]
    assert len(marks) == len(levels) == len(PANELS)
    assert all(len(t.x) == 3 * len(COEFFICIENTS) for t in marks)
    assert [t.y[0] for t in levels] == pytest.approx([1, 0.12, 2.95])
    bits = columns["1: bits"][:, -1].tolist()
    assert list(marks[2].y[-3:]) == pytest.approx(bits)
    assert "1: busiest expert 2.33 times the mean" in fig.layout.meta["alt"]


@THEMES
def test_steps_are_lines_and_a_mark_for_each_seed(theme):
    columns = made_up_pretraining.pretraining()
    fig = steps_to_the_same_loss(columns, theme=theme)
    assert fig.to_json()
    lines = [t for t in fig.data if t.mode == "lines+markers"]
    assert [t.name for t in lines] == list(LINES)
    assert lines[2].y[-1] == pytest.approx(columns[f"{TOP_2}: bits"][:, -1].mean())
    marks = [t for t in fig.data if t.mode == "markers"]
    assert len(marks) == len(ARMS)
    assert list(marks[0].text) == ["never"] * 3
    assert list(marks[ARMS.index("expert choice 2")].text) == ["200 steps"] * 3
    assert "dense 3.500 bits, never" in fig.layout.meta["alt"]


@THEMES
def test_tasks_are_told_over_top_2(theme):
    columns = made_up_pretraining.pretraining()
    fig = tasks_dots(columns, theme=theme)
    assert fig.to_json()
    average = next(t for t in fig.data if t.name == "average")
    assert TOP_2 not in average.text and len(average.text) == len(ARMS) - 1
    right = right_answers(columns)
    gap = (right["hash"] - right[TOP_2]).mean().item()
    assert average.x[average.text.index("hash")] == pytest.approx(gap)
    paper = fig.data[-1]
    assert list(paper.x) == [-3.8, -0.9, 1.8, 1.0, 1.8]
    assert "top-2 + loss +0.0" in fig.layout.meta["alt"]


@pytest.mark.parametrize("draw", [steps_to_the_same_loss, tasks_dots])
def test_an_unknown_theme_is_named(draw):
    with pytest.raises(ValueError, match="theme='sepia': choose one of"):
        draw(made_up_pretraining.pretraining(), theme="sepia")
