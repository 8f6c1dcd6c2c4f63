"""The picture of 1991 to today: links where a chapter is, hollow marks elsewhere."""

import re
from itertools import pairwise

import pytest

from moe_lib.course.ideas_timeline import IDEAS, LANES, Idea, chapters_here
from moe_lib.figures.ideas_timeline import ROW, ideas_timeline
from stills import plotly_js


def marks(fig):
    """Row of an idea -> the symbol of its mark."""
    return {
        row: symbol
        for trace in fig.data
        if trace.hovertext
        for row, symbol in zip(trace.y, trace.marker.symbol, strict=True)
    }


def links(fig):
    """Row of an idea -> the file that its label leads to."""
    found = {a.y: re.search(r"href='(.*?)'", a.text) for a in fig.layout.annotations}
    return {row: match[1] for row, match in found.items() if match}


@pytest.mark.parametrize("theme", ["light", "dark", "both"])
def test_it_draws_every_idea_with_a_label_and_a_mark(theme):
    fig = ideas_timeline(theme=theme)
    assert sorted(marks(fig)) == list(range(len(IDEAS)))
    assert [a.y for a in fig.layout.annotations] == list(range(len(IDEAS)))
    assert all(
        i.name in a.text for i, a in zip(IDEAS, fig.layout.annotations, strict=True)
    )
    lines = [t for t in fig.data if t.mode == "lines"]
    drawn = sum(t.x.count(None) for t in lines)
    assert drawn == sum(len(idea.builds_on) for idea in IDEAS)
    assert fig.layout.height > ROW * len(IDEAS)
    assert f"{len(IDEAS)} ideas from 1991 to" in fig.layout.meta["alt"]


def test_chapters_that_are_there_are_filled_and_linked():
    fig = ideas_timeline()
    there = chapters_here()
    for row, idea in enumerate(IDEAS):
        built = idea.chapter in there
        assert marks(fig)[row].endswith("-open") != built
        assert links(fig).get(row) == (f"{idea.chapter}.ipynb" if built else None)


def test_a_chapter_that_is_missing_leaves_its_idea_hollow():
    fig = ideas_timeline(chapters=["04_switch"])
    assert set(links(fig).values()) == {"04_switch.ipynb"}
    filled = [row for row, symbol in marks(fig).items() if "open" not in symbol]
    assert [IDEAS[row].id for row in filled] == ["switch"]
    assert ", 1 of them built in a chapter" in fig.layout.meta["alt"]


def test_a_notebook_on_its_own_has_marks_but_no_links():
    fig = ideas_timeline(chapters=[])
    assert not links(fig)
    filled = {row for row, symbol in marks(fig).items() if "open" not in symbol}
    assert filled == {row for row, idea in enumerate(IDEAS) if idea.chapter}


def test_a_line_goes_around_a_mark_in_its_way():
    lane = LANES[1]
    ideas = [
        Idea(name, year, name.upper(), "-", lane, "w", "i", None, origin)
        for name, year, origin in [("a", 1, ()), ("b", 2, ("a",)), ("c", 3, ("a",))]
    ]
    fig = ideas_timeline(ideas, chapters=["01_x"])
    (line,) = (t for t in fig.data if t.mode == "lines" and t.x)
    cut = line.x.index(None)
    straight, around = line.x[:cut], line.x[cut + 1 : -1]
    assert set(straight) == {1}
    assert around[0] == around[-1] == 1 and min(around) < 0.9
    assert line.y[0] == line.y[cut + 1] == 0 and line.y[-2] == 2


def test_a_mark_tells_the_wall_the_idea_and_what_came_next():
    fig = ideas_timeline()
    told = {
        text.split("<br>")[0]: text.replace("<br>", " ")
        for trace in fig.data
        for text in trace.hovertext or ()
    }
    text = told["<b>Strict balance, 2017</b>"]
    assert "The wall: losses even out the load only on average." in text
    assert "Next: Expert choice." in text and "1701.06538" in text
    assert "Next: open." in told[f"<b>{IDEAS[-1].name}, {IDEAS[-1].year}</b>"]


def test_what_cannot_be_drawn_is_named():
    with pytest.raises(ValueError, match="ideas is empty: give one"):
        ideas_timeline([])
    with pytest.raises(ValueError, match=r"'tree' builds on \['mixture'\].*earlier"):
        ideas_timeline([IDEAS[1], IDEAS[0]])
    with pytest.raises(ValueError, match="theme='sepia': choose one of"):
        ideas_timeline(theme="sepia")


SEEN = """(figure) => {
  const {data, layout} = JSON.parse(figure);
  return Plotly.newPlot("place", data, layout, {responsive: true}).then(() => ({
    boxes: [...document.querySelectorAll(".annotation, .gtitle, .legend")].map((e) => {
      const {left, top, right, bottom} = e.getBoundingClientRect();
      return [left, top, right, bottom];
    }),
    marks: Math.max(...[...document.querySelectorAll(".scatterlayer .point")].map(
      (e) => e.getBoundingClientRect().right)),
    links: [...document.querySelectorAll(".annotation a")].map((e) => e.href.baseVal),
  }));
}"""


@pytest.mark.parametrize("width", [390, 900])
def test_in_a_browser_nothing_overlaps_and_links_lead_on(browser, width):
    fig = ideas_timeline(chapters=["04_switch"])
    page = browser.new_page(viewport={"width": width, "height": 1200})
    try:  # plotly makes no link on a page without http
        body = "<body style='margin: 0'><div id='place'></div>"
        page.route("**", lambda r: r.fulfill(content_type="text/html", body=body))
        page.goto("http://book.test/05b.html")
        page.add_script_tag(path=plotly_js())
        seen = page.evaluate(SEEN, fig.to_json())
    finally:
        page.close()
    boxes = sorted(seen["boxes"], key=lambda box: box[1])
    assert len(boxes) == len(IDEAS) + 2
    for above, below in pairwise(boxes):
        assert above[3] <= below[1] + 1, (above, below)
    assert max(box[2] for box in boxes) <= width
    assert seen["marks"] < min(box[0] for box in boxes[2:])
    assert seen["links"] == ["04_switch.ipynb"]
