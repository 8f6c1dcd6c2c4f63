"""Where two payloads take the same time, and what the picture says of it."""

import pytest

from moe_lib.figures.remedies import payload_bargain

PAYLOADS = {"float32": (4e6, 0.0), "bfloat16": (2e6, 0.001), "int8": (1e6, 0.006)}


def test_the_rings_stand_where_the_times_are_equal():
    fig = payload_bargain(PAYLOADS, theme="light")
    rings = fig.data[-1]
    assert list(rings.x) == pytest.approx([2.0, 0.5])  # GB/s: bytes saved / seconds
    assert list(rings.y) == pytest.approx([4e6 / 2e9 * 1e3, 4e6 / 0.5e9 * 1e3])
    alt = fig.layout.meta["alt"]
    assert "bfloat16: pays below 2 GB/s. int8: pays below 0.5 GB/s." in alt


def test_lines_are_bytes_over_speed_plus_conversion():
    for line, (sent, seconds) in zip(
        [t for t in payload_bargain(PAYLOADS).data if t.name], PAYLOADS.values(),
        strict=True,
    ):  # fmt: skip
        for speed, ms in zip(line.x, line.y, strict=True):
            assert ms == pytest.approx(1e3 * (sent / (speed * 1e9) + seconds))


def test_a_payload_that_costs_nothing_has_no_ring():
    fig = payload_bargain({"float32": (4e6, 0.0), "smaller": (2e6, 0.0)})
    assert not fig.data[-1].x and "pays" not in fig.layout.meta["alt"]


@pytest.mark.parametrize(
    "payloads, told",
    [
        ({}, "payloads has 0 names: give one to 3"),
        ({name: (1.0, 0.0) for name in "abcd"}, "payloads has 4 names"),
        ({"float32": (0.0, 0.0)}, "bytes of 'float32'=0.0: give a finite number"),
    ],
)
def test_wrong_payloads_are_named(payloads, told):
    with pytest.raises(ValueError, match=told):
        payload_bargain(payloads)
