"""The map of a two-dimensional router: shares, borders and letters are true."""

import base64
import struct
import zlib

import pytest
import torch

from moe_lib.figures.regions import edges, inmost
from moe_lib.figures.territory import CELLS, territory
from moe_lib.figures.tints import tinted_image
from moe_lib.routers import GShardRouter, NoisyTopKRouter, SoftmaxGate, SwitchRouter
from router_kinds import make

SQUARE = dict(xlim=(-2.0, 2.0), ylim=(-2.0, 2.0))


def two_halves(x):
    """A rules left of x = 0.5, B right of it."""
    logits = torch.stack((0.5 - x[:, 0], x[:, 0] - 0.5), dim=1)
    return (4 * logits).softmax(dim=1)


def test_border_letters_and_shares_of_two_halves():
    fig = territory(two_halves, **SQUARE)
    border, _, letters = fig.data
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
    ends = [(x, y) for x, y in zip(two.data[0].x, two.data[0].y, strict=True)
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
    assert fig.layout.images[0].source == again.layout.images[0].source
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


def test_the_picture_of_pixels_is_a_png_with_the_colours_of_the_owners():
    owner = torch.tensor([[0, 1, 1], [0, 0, 1]])
    uri = tinted_image(owner, torch.tensor([[0.0, 1, 1], [0.2, 0.4, 1]]), "light")
    png = base64.b64decode(uri.split(",")[1])
    assert struct.unpack(">2I", png[16:24]) == (3, 2)
    start = png.index(b"IDAT") + 4
    length = struct.unpack(">I", png[start - 8 : start - 4])[0]
    lines = zlib.decompress(png[start : start + length])
    assert lines[1:5] == bytes([0x7E, 0x1F, 0x26, 0])
    assert lines[5:9] == bytes([0xDF, 0x7B, 0x1A, 255])
    assert len(lines) == 2 * (1 + 3 * 4)


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
