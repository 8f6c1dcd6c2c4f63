"""The pictures of the name memory show what they are given."""

import json

import pytest
import torch

from moe_lib.course.language_sharing import Sharing
from moe_lib.course.lookup_setup import ARMS, Setup
from moe_lib.figures.language_sharing import language_sharing, latin_first
from moe_lib.figures.lookup import names_recalled
from moe_lib.figures.lookup_widths import names_by_width
from moe_lib.notation import letter

GROUPS = {"high": ("fr", "es", "de", "ru"), "low": ("sw",)}
PARTS = ("all", "high", "low", "unseen")
WIDTHS = (8, 16, 32)
LANGUAGES = ("fr", "ru", "es")
COUNTS = torch.tensor([[80, 15, 5], [2, 8, 90], [70, 20, 10]])


def columns():
    told = {}
    for k, arm in enumerate(ARMS):
        for rate, bonus in (("0.02", 0.0), ("0.04", 5.0)):
            for j, part in enumerate(PARTS):
                mean = 40.0 + 10 * k - 3 * j + bonus
                values = torch.tensor([mean - 1, mean + 1])
                told[f"{arm} at {rate}: {part}"] = values
    return told


def by_width():
    told = {}
    for width, dense, mixture in zip(WIDTHS, (20, 60, 99), (30, 80, 99), strict=True):
        told[f"{width}, dense at 0.04: all"] = torch.tensor([dense - 1.0, dense + 1])
        told[f"{width}, mixture at 0.02: all"] = torch.tensor([mixture - 2.0, mixture])
    return told


def test_bars_are_means_at_the_best_rate_and_dots_the_runs():
    fig = names_recalled(columns(), GROUPS)
    bars = [t for t in fig.data if t.type == "bar"]
    dots = [t for t in fig.data if t.type == "scatter"]
    assert [list(bar.y) for bar in bars] == [
        [45.0 + 10 * k - 3 * j for j in range(4)] for k in range(3)
    ]
    assert list(dots[1].y) == [54, 56, 51, 53, 48, 50, 45, 47]
    for bar, arm in zip(bars, ARMS, strict=True):
        setup = Setup(arm)
        assert f"{setup.flops:,} FLOPs, {setup.parameters:,} param" in bar.name
    for bar, dot in zip(bars, dots, strict=True):
        middles = [x + bar.offset + bar.width / 2 for x in bar.x for _ in range(2)]
        assert list(dot.x) == pytest.approx(middles)  # a run stands over its bar
    labels = fig.layout.xaxis.ticktext
    assert (
        labels[1] == "<b>high</b><br>fr es de<br>ru" and labels[-1] == "never<br>seen"
    )
    assert "mixture all 55, high 52, low 49, unseen 46" in fig.layout.meta["alt"]


def test_the_slider_has_a_state_for_each_width_and_opens_at_the_last():
    fig = names_by_width(by_width(), WIDTHS)
    assert [frame.name for frame in fig.frames] == ["8", "16", "32"]
    middle = fig.frames[1].data
    assert list(middle[0].x) == [0, 60] and list(middle[3].x) == [0, 79]
    assert list(middle[5].x) == [78, 80]
    params = Setup("mixture", d_model=16, d_ff=64).parameters
    assert middle[4].text == (f"79 %, {params:,} parameters",)
    assert list(middle[6].y) == [19, 19]  # seed by seed, mixture less dense
    moved = [fig.data[i] for i in fig.frames[0].traces]
    assert [list(t.x) for t in moved] == [list(t.x) for t in fig.frames[-1].data]
    assert list(fig.data[6].y) == [9, 19, -1]
    alt = fig.layout.meta["alt"]
    assert "60 and 79 at width 16" in alt and "most, 19 points, at width 16" in alt


def test_experts_stand_in_one_order_and_keep_their_letters():
    one = Sharing(LANGUAGES, COUNTS)
    turned = Sharing(LANGUAGES, COUNTS[:, [2, 0, 1]])
    assert latin_first(one) == [0, 1, 2] and latin_first(turned) == [1, 2, 0]
    fig = language_sharing([one, turned])
    left, right = (t for t in fig.data if t.type == "heatmap")
    assert json.loads(fig.to_json())  # no tensors inside
    assert left.z == right.z and list(left.y) == ["fr", "es", "ru"]  # Latin first
    assert list(left.z[0]) == [0.8, 0.15, 0.05]
    for axis, order in (("x", [0, 1, 2]), ("x2", [1, 2, 0])):
        under = [note for note in fig.layout.annotations if note.xref == axis]
        under = {note.x: note.text for note in under if note.y == 0}
        assert under == {k: f"<b>{letter(e)}</b>" for k, e in enumerate(order)}
    alt = fig.layout.meta["alt"]
    assert "fr es, ru es, es fr" in alt and f"{one.bits:.2f} bits" in alt
    with pytest.raises(ValueError, match="1 runs with 2 names: give one for each"):
        language_sharing([one])


@pytest.mark.parametrize("theme", ["light", "dark", "both"])
def test_every_theme(theme):
    for fig in (
        names_recalled(columns(), GROUPS, theme=theme),
        names_by_width(by_width(), WIDTHS, theme=theme),
        language_sharing([Sharing(LANGUAGES, COUNTS)], ["one"], theme=theme),
    ):
        assert len(fig.layout.meta["alt"]) > 60 and fig.to_json()
