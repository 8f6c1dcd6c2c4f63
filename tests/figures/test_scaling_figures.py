"""Loss of the ladder in three views, table 1 as a picture, and what hides the gain."""

import pytest
import torch

import made_up_ladder
from moe_lib.figures.hidden_gain import hidden_gain
from moe_lib.figures.scaling import VIEWS, loss_by
from moe_lib.figures.switch_table import quality_against_time

LADDER = made_up_ladder.ladder()
NEVER = made_up_ladder.ladder(gain=-0.05)


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_opens_as_its_button_shows_it(view):
    fig = loss_by(LADDER, view, theme="dark")
    button = fig.layout.updatemenus[0].buttons[list(VIEWS).index(view)]
    traces, layout = button.args
    assert [list(t.x) for t in fig.data] == [list(x) for x in traces["x"]]
    assert [list(t.y) for t in fig.data] == [list(y) for y in traces["y"]]
    assert fig.layout.xaxis.title.text == layout["xaxis.title.text"] == VIEWS[view]
    assert len(fig.layout.annotations) == len(layout["annotations"])
    assert fig.to_json()


def test_the_bar_is_how_much_sooner():
    fig = loss_by(LADDER)
    bar = next(t for t in fig.data if t.marker.symbol == "line-ns")
    assert bar.x[1] / bar.x[0] == pytest.approx(1.94, abs=0.01) and bar.x[1] == 1000
    assert "divided by 1.94" in fig.layout.annotations[0].text
    assert "steps divided by 1.94" in fig.layout.meta["alt"]
    missed = loss_by(NEVER)
    assert "switch 16 does not reach" in missed.layout.annotations[0].text
    assert "steps divided by not reached" not in missed.layout.meta["alt"]
    marks = {(t.marker.symbol, t.line.dash) for t in fig.data[:7]}
    assert len(marks) == 7
    with pytest.raises(ValueError, match="view='epochs': choose one of steps"):
        loss_by(LADDER, "epochs")


def test_table_1_against_switch_at_the_usual_capacity():
    fig = quality_against_time(LADDER)
    paper, here = (
        {t.name: t for t in fig.data if t.xaxis == axis} for axis in ("x", "x2")
    )
    assert paper["Switch"].text == here["Switch"].text == ("2", "1.25", "1")
    assert paper["Switch"].x[1] == here["Switch"].x[1] == 1
    assert paper["large dense"].x[0] == pytest.approx(131.1 / 65)
    assert (
        here["large dense"].x[0] > 3 and "here: large dense" in fig.layout.meta["alt"]
    )
    assert "here: none reached it" in quality_against_time(NEVER).layout.meta["alt"]


def test_the_hidden_gain():
    columns = {}
    for k, name in enumerate(("reference", "wide")):
        columns[f"{name}, dense: bits"] = torch.tensor([1.9, 1.8, 2.0])
        columns[f"{name}, switch: bits"] = torch.tensor([1.8, 1.7, 1.9]) + 0.2 * k
    fig = hidden_gain(columns, {"wide": "wide layers"})
    saved = next(t for t in fig.data if t.name == "saved")
    assert saved.x == pytest.approx([0.1] * 3 + [-0.1] * 3, abs=1e-5)
    assert list(fig.layout.yaxis.ticktext) == ["reference", "wide layers"]
    assert "wide 1.900 and 2.000, -0.100 saved" in fig.layout.meta["alt"]
    with pytest.raises(ValueError, match="no column 'SETTING, dense: bits'"):
        hidden_gain({})
