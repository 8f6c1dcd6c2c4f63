"""Translation by part, and who is ahead along the steps."""

import pytest
import torch

from moe_lib.course.measurements_03_translation import GROUPS
from moe_lib.data.phrases import SHARES
from moe_lib.figures.translation import ROWS, translation_quality, translation_turn

STEPS = (100, 200, 300)


def columns(arms=("dense", "experts", "deep"), checkpoints=3, seeds=2):
    """Dense 0.1 better than experts in dates, 0.2 worse elsewhere; half as slow."""
    made = {}
    falls = torch.linspace(2, 1, checkpoints).double().expand(seeds, checkpoints)
    for arm in arms:
        pace = {"dense": 1.0, "experts": 1.5, "deep": 2.0}[arm]
        made[f"{arm}: seconds"] = torch.arange(1, checkpoints + 1) * pace * falls**0
        for row in ROWS:
            less = 0.0 if arm == "dense" else -0.1 if row == "date" else 0.2
            made[f"{arm}: nats, {row}"] = falls - less
            made[f"{arm}: exact, {row}"] = (2 - falls + less) / 2
    return made


def panel(fig, axis, arm):
    name = "twice as deep, twice the arithmetic" if arm == "deep" else arm
    return next(t for t in fig.data if t.name == name and t.xaxis == axis)


def test_a_dot_for_each_seed_and_part():
    fig = translation_quality(columns())
    left, right = (panel(fig, axis, "experts") for axis in ("x", "x2"))
    assert len(left.x) == len(right.x) == 2 * len(ROWS)
    assert left.x[0] == pytest.approx(60) and left.x[2] == pytest.approx(45)
    assert right.x[0] == pytest.approx(35)  # at two of three steps
    assert list(fig.layout.yaxis.ticktext) == [
        "all", *SHARES, *(f"{group} resource" for group in GROUPS)
    ]  # fmt: skip
    symbols = {
        panel(fig, "x", arm).marker.symbol for arm in ("dense", "experts", "deep")
    }
    assert len(symbols) == 3
    alt = fig.layout.meta["alt"]
    assert "after equal steps dense 0.5, experts 0.6, deep 0.6; after equal time" in alt
    assert fig.to_json()


def test_one_checkpoint_has_no_equal_time():
    fig = translation_quality(columns(("dense", "experts"), 1), "nats", theme="dark")
    assert {t.xaxis for t in fig.data} == {"x"}
    assert "equal time" not in fig.layout.meta["alt"]
    assert fig.layout.xaxis.title.text == "nats per character"
    with pytest.raises(KeyError):
        translation_quality(columns(), "bleu")


def test_the_gap_along_the_steps():
    fig = translation_turn(columns(("dense", "experts")), STEPS)
    named = {t.name: t for t in fig.data if t.name}
    assert set(named) == {"equal steps", "equal time", *SHARES, *GROUPS}
    assert list(named["equal steps"].x) == list(STEPS)
    assert named["equal steps"].y == pytest.approx([0.2] * 3)
    assert named["date"].y == pytest.approx([-0.1] * 3)
    later = named["equal time"].y
    assert later[0] != later[0]  # the experts had no checkpoint by then
    assert later[2] == pytest.approx(0.2 - 0.5)
    assert len({t.legend for t in named.values()}) == 3
    looks = {(named[k].line.color, named[k].marker.symbol) for k in SHARES}
    assert len(looks) == len(SHARES)
    alt = fig.layout.meta["alt"]
    assert "+0.200 after 100 steps; after 300, +0.200 at equal steps" in alt
    assert "-0.300 at equal time" in alt and fig.to_json()
