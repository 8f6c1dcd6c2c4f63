"""Coloured bytes, and what the choice of expert follows."""

import pytest

from moe_lib.course.byte_names import CLASSES
from moe_lib.course.information import information
from moe_lib.course.placed import Placed
from moe_lib.figures.byte_text import WIDTH, byte_text
from moe_lib.figures.who_follows_what import what_experts_tell, who_follows_what
from placed_bytes import every_byte, placed_by

BOTH = pytest.mark.parametrize("theme", ["both", "dark"])


def vowel(byte, domain):
    return sum(byte == ord(v) for v in "aeiou").bool()


@BOTH
def test_every_byte_has_its_place_and_every_run_its_letter(theme):
    placed = placed_by(lambda byte, domain: byte % 2 == 1)  # in any Python's text
    fig = byte_text(placed, stretch=2, lines=2, theme=theme)
    by_name = {trace.name: trace for trace in fig.data}
    words, letters = by_name["bytes"], by_name["experts"]
    assert len(words.text) == len(words.customdata) == 4 * 2 * WIDTH
    start = 1 * 8192 + 2 * 128  # Python, its third stretch
    values = placed.byte[start : start + WIDTH].tolist()
    shown = {"\n": "↵", "<": "&lt;", ">": "&gt;", "&": "&amp;"}
    assert list(words.text[2 * WIDTH : 3 * WIDTH]) == [
        shown.get(chr(v), chr(v)) for v in values
    ]
    owner = placed.first[start : start + WIDTH]
    runs = 1 + int((owner[1:] != owner[:-1]).sum())
    line = words.y[2 * WIDTH]
    below = [y for y in letters.y if 0 < y - line < 0.5]
    assert len(below) == runs
    assert set(letters.text) == {"<b>A</b>", "<b>B</b>"}
    assert "Python: 2 experts, most often " in fig.layout.meta["alt"]
    assert len(fig.layout.shapes) == 2 and fig.to_json()


def test_one_expert_may_have_it_all():
    fig = byte_text(placed_by(lambda byte, domain: byte < 0), stretch=2, lines=2)
    assert "Python: 1 expert, most often" in fig.layout.meta["alt"]


def test_text_with_gaps_is_refused():
    whole = every_byte()
    some = Placed(whole.context[::4], whole.following[::4], whole.domain[::4],
                  whole.domains, whole.routing)  # fmt: skip
    with pytest.raises(ValueError, match="8192 bytes, not 32,768: place every byte"):
        byte_text(some)
    with pytest.raises(ValueError, match="stretch=64: choose from 0 to 63"):
        byte_text(whole, stretch=64)
    with pytest.raises(ValueError, match="lines=4: give at most 3"):
        byte_text(whole, lines=4)


@BOTH
def test_rows_sum_to_one_and_the_extremes_are_told(theme):
    placed = placed_by(lambda byte, domain: domain == 3)  # B reads all names
    fig = who_follows_what(placed, theme=theme)
    domains, classes = (trace for trace in fig.data if trace.type == "heatmap")
    assert list(domains.y) == ["A", "B", "all"] and list(classes.x) == list(CLASSES)
    assert [list(row) for row in domains.z] == [
        pytest.approx(row)
        for row in ([1 / 3, 1 / 3, 1 / 3, 0], [0, 0, 0, 1], [1 / 4] * 4)
    ]
    assert [sum(row) for row in classes.z] == pytest.approx([1, 1, 1])
    assert "B, 100% names against 25%" in fig.layout.meta["alt"]
    written = next(trace for trace in fig.data if trace.type == "scatter")
    assert list(written.text) == ["33"] * 3 + ["100"] + ["25"] * 4
    assert fig.to_json()


def test_information_is_drawn_as_it_is():
    told = information(placed_by(vowel))
    fig = what_experts_tell({"trained": [told, told], "untrained": [told], "none": []})
    marks = {trace.name: trace for trace in fig.data}
    assert list(marks) == ["chance", "at most", "byte alone", "trained", "untrained"]
    assert list(marks["trained"].x[::2]) == pytest.approx(list(told.bits.values()))
    assert list(marks["chance"].x) == pytest.approx(list(told.chance.values()))
    assert marks["at most"].x[0] == told.most["domain"]
    assert marks["byte alone"].x[0] == told.byte_and_domain
    ticks = list(fig.layout.yaxis.ticktext)
    assert ticks[0] == "domain" and ticks[-1] == "byte,<br>domain known"
    bits = told.bits["current byte"]
    assert f"current byte {bits:.2f} of" in fig.layout.meta["alt"]
    with pytest.raises(ValueError, match="no runs: give information"):
        what_experts_tell({"trained": []})
