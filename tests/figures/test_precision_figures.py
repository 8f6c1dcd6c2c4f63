"""The pictures of rounding and of a router that settles."""

import pytest
import torch

from moe_lib.course.precision import Probe, by_scale
from moe_lib.figures.flips import settling
from moe_lib.figures.precision import rounding_by_scale

THEMES = pytest.mark.parametrize("theme", ["both", "light", "dark"])


def seen(tokens=200):
    draw = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(n, 8, generator=draw) for n in (tokens, 4))
    return Probe(x, weight, None)


@THEMES
def test_rounding_is_drawn_at_each_scale(theme):
    scales = (0.5, 1, 8)
    fig = rounding_by_scale(seen(), scales, theme=theme)
    assert [frame.name for frame in fig.frames] == ["0.5", "1", "8"]
    found = by_scale(seen(), scales)["bfloat16"]
    for frame, rounding in zip(fig.frames, found, strict=True):
        assert len(frame.data[1].x) == rounding.changed.sum()
        assert len(frame.data[0].x) + len(frame.data[1].x) == 200
    assert f"{found[-1].error.max():.3f} and" in fig.layout.meta["alt"]
    assert fig.to_json()


@THEMES
@pytest.mark.parametrize("seeds", [None, 3])
def test_settling_draws_each_kind_of_run_in_three_panels(theme, seeds):
    shape = () if seeds is None else (seeds,)
    found = {
        "changed": torch.full((*shape, 2), 0.25),
        "lse": torch.ones(*shape, 3),
        "max logit": torch.full((*shape, 3), 5.0),
    }
    fig = settling({"plain": found, "z": found}, (10, 20, 30), theme=theme)
    assert len(fig.data) == 6
    assert list(fig.data[0].x) == [20, 30] and list(fig.data[0].y) == [25.0, 25.0]
    assert list(fig.data[2].x) == [10, 20, 30]
    assert (fig.data[2].error_y.array is None) == (seeds is None)
    alt = fig.layout.meta["alt"]
    assert "25 % of the tokens changed expert between steps 10 and 20" in alt
    assert fig.to_json()


def test_an_unknown_theme_is_refused():
    with pytest.raises(ValueError, match="theme='sepia'"):
        rounding_by_scale(seen(), theme="sepia")
