"""The square-root law beside the paper's points."""

import pytest

from moe_lib.figures.torus import SHARES, TIMES, all_to_all_figure, predicted_share


@pytest.mark.parametrize("theme", ["light", "dark", "both"])
def test_the_curves_go_through_what_was_fitted(theme):
    fig = all_to_all_figure(theme=theme)
    times, root, shares, *points = fig.data
    assert times.y[0] == root.y[0] == 1 and times.y[-1] == 12
    assert root.y[-1] == pytest.approx(128**0.5)
    at = dict(zip(shares.x, shares.y, strict=True))
    assert at[128] == pytest.approx(16)
    assert at[2048] == pytest.approx(100 * 0.64 / (0.64 + 0.84))
    drawn = [(p.x[0], p.y[0]) for p in points]
    assert drawn == [*TIMES.items(), *((d, 100 * s) for d, s in SHARES.items())]
    assert [p.marker.symbol for p in points] == ["diamond-open", "diamond"] * 2
    alt = fig.layout.meta["alt"]
    assert "by the square root 11.3 times; measured by the paper: 9" in alt
    assert "from 16% at 128 devices to 43% at 2,048; measured: 36%" in alt


def test_a_share_is_the_paper_s_where_it_was_fitted():
    assert predicted_share(128) == pytest.approx(SHARES[128])
    assert predicted_share(2048, start=2048) == pytest.approx(SHARES[2048])
