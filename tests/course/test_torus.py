"""The all-to-all by calculation, against walks over links and rows that are counted."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lib.accounting import FeedForward
from moe_lib.course.torus import (
    SplitLayer,
    all_to_all_seconds,
    links_out,
    load_of_a_link,
    mean_hops,
    torus_shape,
    walked_hops,
)

counts = st.integers(1, 400)


@given(counts)
def test_the_torus_is_the_one_nearest_to_a_square(devices):
    rows, columns = torus_shape(devices)
    assert rows * columns == devices and rows <= columns
    assert all(devices % r for r in range(rows + 1, math.isqrt(devices) + 1))


@given(counts)
def test_the_mean_hops_are_those_of_a_walk_and_of_all_pairs(devices):
    assert mean_hops(devices) == pytest.approx(walked_hops(devices))
    places = [range(n) for n in torus_shape(devices)]
    total = sum(
        sum(
            min(step, len(ring) - step)
            for step, ring in zip(place, places, strict=True)
        )
        for place in itertools.product(*places)
    )
    assert mean_hops(devices) == pytest.approx(total / devices)


@pytest.mark.parametrize("devices", [4, 16, 12, 64])
def test_links_share_the_load_and_none_carries_less_than_the_mean(devices):
    """Every device sends a piece to every device, first along its row."""
    rows, columns = torus_shape(devices)
    carried: dict = {}
    for i, j, a, b in itertools.product(*map(range, (rows, columns, rows, columns))):
        for start, end, n, at in ((j, b, columns, 0), (i, a, rows, 1)):
            away = (end - start) % n
            if 2 * away == n:  # both ways are as short: half the piece each way
                ways = [(1, 0.5), (-1, 0.5)] if n > 2 else [(1, 1.0)]
            else:
                ways = [(1 if 2 * away < n else -1, 1.0)]
            for step, piece in ways:
                for k in range(min(away, n - away)):
                    here = (start + step * k) % n
                    link = (at, i if at == 0 else b, here, (here + step) % n)
                    carried[link] = carried.get(link, 0) + piece
    assert len(carried) == devices * links_out(devices)
    mean = sum(carried.values()) / len(carried)
    assert mean / devices == pytest.approx(load_of_a_link(devices))
    if rows == columns:  # then all links carry alike
        assert max(carried.values()) == pytest.approx(mean)


def test_the_time_grows_with_the_square_root_of_the_devices():
    times = [all_to_all_seconds(1e6, d, 1e9) for d in (16, 64, 256, 1024)]
    assert times == pytest.approx([times[0] * f for f in (1, 2, 4, 8)])
    assert load_of_a_link(2048) / load_of_a_link(16) == 12  # 32 x 64 is no square
    switch = all_to_all_seconds(1e6, 2048, 1e9, 1e-6, "switch")
    assert switch == pytest.approx(2047e-6 + 1e6 * 2047 / 2048 / 1e9)
    assert all_to_all_seconds(1e6, 1, 1e9, 1.0) == 0


sizes = st.builds(
    SplitLayer,
    devices=st.integers(1, 64),
    num_experts=st.integers(1, 512),
    top_k=st.integers(1, 8),
    tokens=st.integers(1, 5000),
    d_model=st.integers(1, 300),
    d_ff=st.integers(1, 300),
    width=st.sampled_from([1, 2, 4]),
    capacity_factor=st.sampled_from([1.0, 1.25, 2.0]),
)


@given(sizes)
def test_bytes_add_up(layer):
    assert layer.sent_bytes + layer.home_bytes == pytest.approx(layer.buffer_bytes)
    total = layer.sent_bytes * layer.devices  # from each to all others
    pairs = layer.devices * (layer.devices - 1)
    assert total == pytest.approx(pairs * layer.home_bytes)
    expert = FeedForward(layer.d_model, layer.d_ff)
    assert layer.expert_bytes == (
        layer.num_experts * expert.total_parameters * layer.width
    )
    assert layer.held_bytes * layer.devices == pytest.approx(layer.expert_bytes)
    assert layer.flops == pytest.approx(layer.rows * expert.flops(1))
    assert layer.all_reduce_bytes <= 2 * layer.expert_bytes


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: torus_shape(0), "devices=0: give a whole number of at least 1"),
        (lambda: load_of_a_link(4, "ring"), "network='ring': choose one of torus, swi"),
        (lambda: all_to_all_seconds(1, 2, 0), "bandwidth=0: give a finite number"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message):
        call()
