"""Timeline and traffic say what their events and bytes add up to."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lib.figures.parallel import timeline
from moe_lib.figures.traffic import traffic
from moe_lib.recorder import KINDS, Event

EVENTS = st.lists(
    st.builds(
        lambda rank, kind, start, length: Event(rank, kind, start, start + length),
        st.integers(0, 4), st.sampled_from(list(KINDS)),
        st.integers(0, 40).map(float), st.integers(0, 9).map(float),
    ),
    min_size=1, max_size=20,
)  # fmt: skip


@given(EVENTS)
@settings(deadline=None, max_examples=20)
def test_boxes_are_the_events_and_never_cover_one_another(events):
    fig = timeline(events)
    zero, boxes = min(event.start for event in events), []
    for bar in fig.data:
        kind = bar.name.split()[0]
        for rank, base, x, y, width in zip(
            bar.customdata, bar.base, bar.x, bar.y, bar.width, strict=True
        ):
            boxes.append((rank, kind, base, base + x, y - width / 2, y + width / 2))
            assert rank - 0.5 < y - width / 2 and y + width / 2 < rank + 0.5
    given_boxes = sorted(
        (e.rank, e.kind, 1e3 * (e.start - zero), 1e3 * (e.end - zero)) for e in events
    )
    assert sorted(box[:4] for box in boxes) == given_boxes
    for i, (_, _, start, end, low, high) in enumerate(boxes):
        for _, _, other_start, other_end, other_low, other_high in boxes[:i]:
            apart = other_end <= start or end <= other_start
            assert apart or other_high <= low + 1e-3 or high <= other_low + 1e-3


def test_total_and_waiting_are_stated():
    events = [Event(0, "compute", 1.0, 1.004), Event(1, "compute", 1.0, 1.001),
              Event(1, "waiting", 1.001, 1.004)]  # fmt: skip
    fig = timeline(events, theme="light")
    alt = fig.layout.meta["alt"]
    assert "2 ranks, 4 ms in all; rank 1 waits longest, 75% of it" in alt
    assert "compute 62%, dispatch 0%, combine 0%, waiting 38%" in alt
    assert [bar.name for bar in fig.data] == ["compute 62%", "waiting 38%"]
    assert "4 ms in all" in fig.layout.xaxis.title.text


def test_of_many_events_the_longest_are_drawn_and_all_are_counted():
    many = [Event(k % 3, "compute", float(k), k + 1.0) for k in range(2100)]
    fig = timeline([*many, Event(0, "waiting", 0.0, 3000.0)])
    assert sum(len(bar.x) for bar in fig.data) == 2000
    assert 3e6 in fig.data[1].x
    assert "the 2,000 longest of 2,101 events are drawn" in fig.layout.meta["alt"]


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: timeline([]), "events is empty: give at least one Event"),
        (lambda: Event(-1, "compute", 0, 1), "rank=-1: give a whole number"),
        (lambda: Event(0, "sleep", 0, 1), "kind='sleep': choose one of compute"),
        (lambda: Event(0, "compute", 2.0, 1.0), "end=1.0 is before start=2.0: give"),
        (lambda: Event(0, "compute", 0, float("nan")), "end=nan: give a finite"),
        (lambda: traffic(torch.ones(2, 3)), r"shape \[2, 3\]: give a square"),
        (lambda: traffic([[1.0, -1.0], [0.0, 0.0]]), r"\[0, 1\] is -1.0: give"),
    ],
)
def test_bad_input_is_told_in_one_line(make, complaint):
    with pytest.raises(ValueError, match=complaint) as error:
        make()
    assert "\n" not in str(error.value)


@given(ranks=st.integers(1, 12), seed=st.integers(0, 2**30))
@settings(deadline=None, max_examples=15)
def test_sums_and_imbalance_leave_the_diagonal_out(ranks, seed):
    draw = torch.Generator().manual_seed(seed)
    sizes = torch.randint(0, 5000, (ranks, ranks), generator=draw).tolist()
    fig = traffic(sizes)
    cells = fig.data[0].z
    received, sent = [bar for bar in fig.data if bar.type == "bar"]
    for i in range(ranks):
        for j in range(ranks):
            assert cells[i][j] == (0 if i == j else sizes[i][j])
        others = [k for k in range(ranks) if k != i]
        assert sent.x[i] == sum(sizes[i][j] for j in others)
        assert received.y[i] == sum(sizes[j][i] for j in others)
    told = re.search(r"rank (\d+) sends most: ([0-9.]+) ×", fig.layout.meta["alt"])
    if sum(sent.x):
        assert sent.x[int(told[1])] == max(sent.x)
        times = max(sent.x) * ranks / sum(sent.x)
        assert float(told[2]) == pytest.approx(times, abs=0.0051)
    else:
        assert "nobody sends" in fig.layout.meta["alt"]
    assert len(fig.layout.shapes) == ranks


def test_a_few_ranks_show_every_number():
    fig = traffic([[1024, 2048], [512, 0]], theme="dark")
    assert fig.data[1].text == ("1<br>KiB", "2<br>KiB", "512<br>B", "0<br>B")
    alt = fig.layout.meta["alt"]
    assert "2.5 KiB cross, 1 KiB stay at home (free)" in alt
    assert "rank 1 receives most: 1.60 × the mean" in alt
