"""The pictures of chapter 4's two knobs show what they are given."""

from itertools import pairwise

import pytest

import made_up_knobs
from moe_lib.course.measurements_04_capacity import COEFFICIENTS, FACTORS
from moe_lib.figures.balance_price import PANELS, balance_price
from moe_lib.figures.capacity_grid import capacity_grid


@pytest.mark.parametrize("theme", ["both", "light", "dark"])
def test_the_grid_has_a_number_for_each_pair_of_factors(theme):
    columns = made_up_knobs.capacity()
    fig = capacity_grid(columns, theme=theme)
    assert fig.to_json()
    dropped, bits = (t for t in fig.data if t.type == "scatter")
    count = len(FACTORS)
    assert len(dropped.text) == len(bits.text) == count * (count + 1)
    row = FACTORS.index(1)
    mean = 100 * columns["1: eval dropped"].mean(dim=0)
    start = row * (count + 1)
    assert list(dropped.text[start : start + count]) == [f"{v:.1f}" for v in mean]
    apart = 100 * columns["1: training dropped"].mean()
    assert dropped.text[start + count] == f"{apart:.1f}"
    strips = [t for t in fig.data if t.type == "heatmap"]
    assert len(strips) == 2 * (count + 1)
    assert [z[0] for z in strips[0].z] == pytest.approx(
        [100 * columns[f"{f:g}: eval dropped"][:, 0].mean().item() for f in FACTORS]
    )
    assert len(fig.layout.shapes) == 2 * count  # a frame on each diagonal
    assert "0.5 % and 2.002 bits at 1," in fig.layout.meta["alt"]
    with pytest.raises(ValueError, match="theme='sepia': choose one of"):
        capacity_grid(columns, theme="sepia")


@pytest.mark.parametrize("theme", ["both", "light", "dark"])
def test_the_price_has_a_mark_for_each_seed_and_zero_a_place_of_its_own(theme):
    columns = made_up_knobs.balance()
    fig = balance_price(columns, theme=theme)
    assert fig.to_json()
    named = [t for t in fig.data if t.name]
    assert len(named) == 2 * len(PANELS)
    free = named[0]
    assert len(free.x) == 3 * len(COEFFICIENTS)
    assert list(free.y[:3]) == pytest.approx(columns["0: max_over_mean"].tolist())
    places = sorted(set(free.x))
    steps = [b - a for a, b in pairwise(places)]
    assert steps[0] > 1 and steps[1:] == pytest.approx([1] * 4)
    lines = [t for t in fig.data if t.mode == "lines"]
    assert min(min(line.x) for line in lines) > 0  # none reaches zero's place
    assert len({(t.marker.symbol, t.marker.color) for t in named}) == 2
    assert list(fig.layout.xaxis.ticktext) == [f"{w:g}" for w in COEFFICIENTS]
    alt = fig.layout.meta["alt"]
    assert "0.01: busiest expert 3.00 times the mean, 2.000 bits" in alt
    assert "Trained at capacity factor 1.25, bits: 2.030 at 0" in alt


def test_the_price_without_arms_that_drop():
    columns = {n: v for n, v in made_up_knobs.balance().items() if " at " not in n}
    fig = balance_price(columns)
    assert fig.to_json() and "1.25" not in fig.layout.meta["alt"]
    assert len({t.name for t in fig.data if t.name}) == 1
