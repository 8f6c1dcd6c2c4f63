"""The map of a two-dimensional router: shares, borders and letters are true."""

import pytest
import torch

from moe_lib.figures.regions import edges, inmost
from moe_lib.figures.territory import CELLS, territory
from moe_lib.routers import GShardRouter, NoisyTopKRouter, SoftmaxGate, SwitchRouter
from router_kinds import make

SQUARE = dict(xlim=(-2.0, 2.0), ylim=(-2.0, 2.0))


def two_halves(x):
    """A rules left of x = 0.5, B right of it."""
    logits = torch.stack((0.5 - x[:, 0], x[:, 0] - 0.5), dim=1)
    return (4 * logits).softmax(dim=1)


def test_border_letters_and_shares_of_two_halves():
    fig = territory(two_halves, **SQUARE)
    _, border, _, letters = fig.data
    assert {round(x, 3) for x in border.x if x is not None} == {0.5}
    ys = [y for y in border.y if y is not None]
    assert min(ys) < -1.9 and max(ys) > 1.9
    assert letters.text == ("<b>A</b>", "<b>B</b>")
    assert letters.x[0] < 0.5 < letters.x[1]
    alt = fig.layout.meta["alt"]
    assert "A 62%, B 38%" in alt or "A 63%, B 38%" in alt
    assert "ruling nowhere" not in alt


def test_who_rules_nowhere_is_named():
    def three(x):
        return torch.cat((two_halves(x) - 0.05, torch.full((len(x), 1), 0.1)), 1)

    fig = territory(three, **SQUARE, theme="dark")
    assert "ruling nowhere: C" in fig.layout.meta["alt"]
    assert "ruling nowhere: C" in fig.layout.xaxis.title.text
    assert "C 0%" not in fig.layout.meta["alt"]


def test_the_second_best_has_borders_of_its_own():
    torch.manual_seed(0)
    router = SoftmaxGate(2, 4)
    torch.nn.init.normal_(router.gate.weight, std=2.0)
    one, two = (territory(router, **SQUARE, second=s) for s in (False, True))
    assert len(two.data) == len(one.data) + 1
    ends = [(x, y) for x, y in zip(two.data[1].x, two.data[1].y, strict=True)
            if x is not None]  # fmt: skip
    logits = router.gate(torch.tensor(ends)).sort(dim=1, descending=True).values
    assert torch.allclose(logits[:, 1], logits[:, 2], atol=0.15)


@pytest.mark.parametrize(
    "router",
    [
        SoftmaxGate(2, 3), SwitchRouter(2, 5, jitter_noise=0.2, group_size=48),
        NoisyTopKRouter(2, 64), GShardRouter(2, 2, capacity_factor=0.1),
    ],
)  # fmt: skip
def test_a_router_is_asked_in_peace(router):
    points = torch.randn(1200, 2)
    router.train()
    fig = territory(router, points)
    assert router.training
    again = territory(router, points)
    assert fig.data[0].z == again.data[0].z
    assert "500 of 1,200 points, evenly spaced" in fig.layout.meta["alt"]
    dots = fig.data[-2]
    assert len(dots.x) == 500
    low, high = fig.layout.xaxis.range
    assert low < float(points[:, 0].min()) and float(points[:, 0].max()) < high


def test_inmost_is_the_middle_of_a_disc():
    row, column = torch.meshgrid(torch.arange(60), torch.arange(90), indexing="ij")
    disc = (row - 30) ** 2 + (column - 60) ** 2 < 15**2
    experts, rows, columns = inmost(disc.long() * 7)
    assert experts == [0, 7]
    assert abs(rows[1] - 30) <= 4 and abs(columns[1] - 60) <= 4


def test_edges_are_none_where_all_are_among_the_best():
    probs = torch.full((2, 5, 5), 0.5, dtype=torch.float64)
    assert edges(probs, torch.arange(5.0), torch.arange(5.0), 2) == ([], [])


def test_the_ground_has_the_owner_s_part_of_the_scale_deeper_where_it_is_surer():
    ground = territory(two_halves, **SQUARE).data[0]
    left, right = (torch.tensor(ground.x) < 0.5), (torch.tensor(ground.x) > 0.5)
    z = torch.tensor(ground.z)
    assert ((z[:, left] >= 0) & (z[:, left] < 1)).all()
    assert ((z[:, right] >= 1) & (z[:, right] < 2)).all()
    assert z[0, 0] > z[0, left][-1] and z[0, -1] > z[0, right][0]
    assert (ground.zmin, ground.zmax, len(ground.colorscale)) == (0, 2, 8)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (dict(router=make("switch", 4)), "d_model=8: give one with d_model=2"),
        (dict(router=two_halves), "xlim=None without points: give"),
        (dict(router=two_halves, xlim=(2, 1), ylim=(0, 1)), r"xlim=\(2, 1\): give two"),
        (dict(router=lambda x: x.sum(), **SQUARE), r"answered \[\] for 9216 points"),
        (dict(router=lambda x: x / 0, **SQUARE), "answered NaN or infinity: check"),
        (dict(router=two_halves, points=torch.ones(3, 3)), "points has 3 columns"),
    ],
)
def test_bad_input_is_told_in_one_line(arguments, complaint):
    assert CELLS**2 == 9216
    with pytest.raises(ValueError, match=complaint) as error:
        territory(**arguments)
    assert "\n" not in str(error.value)
