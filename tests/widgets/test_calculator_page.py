"""The calculator in a plain page: bars against Python, keys, marks, looks."""

import math

import pytest

from moe_lib.widgets import CALCULATOR_MIME, Calculator
from moe_lib.widgets.calculator_numbers import filled, shown
from moe_lib.widgets.calculator_tables import INPUTS, PRESETS, SECTIONS, SPEC

from .page import PAPER, frame

UNITS = SPEC["units"]
HARD = {  # long numbers, and none
    "num_experts": 131072, "top_k": 16, "d_model": 4096, "d_ff": 16384,
    "tokens": 65536, "devices": 2048, "expert_share": 0.1,
}  # fmt: skip
DENSE = {"num_experts": 1, "top_k": 1, "d_model": 16, "d_ff": 16, "expert_share": 1}

# Of each section its text and bars: label, number, widths in percent, cut or not.
READ = """() => [...document.querySelectorAll('section')].map(section => ({
  line: section.lastChild.textContent,
  bars: [...section.querySelectorAll('.item')].map(item => {
    const track = item.nextSibling.firstChild;
    return [item.querySelector('span').firstChild.textContent,
      item.querySelector('b').textContent,
      [...track.querySelectorAll('span')].map(s => parseFloat(s.style.width)),
      track.classList.contains('cut')] }) }))"""


@pytest.fixture
def open_page(show):
    """open_page(width, theme, **settings) -> page"""

    def open_page(width=1024, theme="light", preset=None, **settings):
        data, _ = Calculator(preset, **settings)._repr_mimebundle_()
        return show(data[CALCULATOR_MIME], width, theme, "calculator")

    return open_page


def slider(page, key):
    return page.locator(f"[data-key={key}] input")


def show_state(page, made: Calculator) -> None:
    page.evaluate("state => calculator.change(state, false)", made.state)
    frame(page)


def test_the_page_shows_python_s_numbers(open_page):
    page = open_page()
    made = [Calculator(name) for name in PRESETS]
    for one in [*made, Calculator(**HARD), Calculator(**DENSE)]:
        show_state(page, one)
        found = one.numbers
        answer = page.locator(".answer").text_content()
        assert answer == filled(SPEC["answer"], found, UNITS)
        for section, read in zip(SECTIONS, page.evaluate(READ), strict=True):
            assert read["line"] == filled(section["line"], found, UNITS)
            sums = [sum(found[key] for key in row[1]) for row in section["rows"]]
            words = [shown(s, UNITS.get(row[1][0], "")) for s, row in zip(
                sums, section["rows"], strict=True)]  # fmt: skip
            assert [bar[:2] for bar in read["bars"]] == [
                [row[0], word] for row, word in zip(section["rows"], words, strict=True)
            ]
            widths = [sum(bar[2]) for bar in read["bars"]]
            if section["scale"]:
                low, high = section["scale"]
                far = [math.log(s / low) / math.log(high / low) for s in sums]
                want = [100 * min(max(f, 0), 1) for f in far]
            else:
                most = min(max(sums), 5 * sums[3])  # of "this model"
                want = [100 * min(s / most, 1) for s in sums]
                cut = [bar[3] for bar in read["bars"]]
                assert cut == [s > most for s in sums]
            assert widths == pytest.approx(want, abs=0.2)


def test_keys_alone_do_everything_and_stay_in_the_view(open_page):
    page = open_page()
    page.evaluate(
        "window.outer = [];"
        "document.addEventListener('keydown', event => outer.push(event.key))"
    )
    slider(page, "num_experts").focus()
    page.keyboard.press("ArrowRight")
    frame(page)
    assert page.evaluate("calculator.state.num_experts") == 32
    assert slider(page, "num_experts").get_attribute("aria-valuetext") == "32"
    # an upright line where the bar stood, and by how much it grew
    change = page.locator(".line small").first
    assert change.inner_text() == "× 1.6" and page.locator(".was").first.is_visible()
    page.keyboard.press("Home")  # k and the groups follow
    frame(page)
    state = page.evaluate("calculator.state")
    assert (state["num_experts"], state["top_k"], state["groups"]) == (1, 1, 1)
    assert slider(page, "top_k").is_disabled()
    page.get_by_role("button", name="MoE-4096-h").focus()
    page.keyboard.press("Enter")
    frame(page)
    assert page.evaluate("calculator.state") == PRESETS["MoE-4096-h"]
    pressed = page.locator("[aria-pressed=true]")
    assert pressed.all_inner_texts() == ["MoE-4096-h"]
    assert change.inner_text() == "" and not page.locator(".was").count()
    assert page.evaluate("outer") == []
    names = page.locator("section").evaluate_all("s => s.map(n => n.ariaLabel)")
    assert names == [section["name"] for section in SECTIONS]


# What lies on each other, is cut off, or sticks out of the page.
OVERLAPS = """() => {
  const found = [], box = node => node.getBoundingClientRect();
  const shown = [...document.querySelectorAll('button, .bar label, .answer, .name,'
    + '.item > span, .item b, .line:not(.axis) > *, .axis .track small,'
    + 'section > .muted, .moe > .muted')].filter(n => n.textContent
      && getComputedStyle(n).display !== 'none');
  const boxes = shown.map(box);
  const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2;
  boxes.forEach((a, i) => {
    boxes.slice(i + 1).forEach((b, j) => meet(a, b)
      && found.push(`${shown[i].textContent} | ${shown[i + 1 + j].textContent}`));
    if (a.left < 0 || a.right > innerWidth) found.push(`out: ${shown[i].textContent}`);
    if (shown[i].scrollWidth > shown[i].clientWidth + 1 && shown[i].clientWidth)
      found.push(`cut: ${shown[i].textContent}`);
  });
  for (const b of document.querySelectorAll('.bar b'))
    if (box(b).left < box(b.parentNode).left + 40) found.push(b.textContent);
  if (document.documentElement.scrollWidth > innerWidth) found.push('scrolls sideways');
  return found }"""


@pytest.mark.parametrize("width", [390, 750, 1200])
def test_nothing_overlaps_and_nothing_jumps(open_page, width):
    page = open_page(width)
    heights = set()
    made = [Calculator(name) for name in PRESETS]
    for one in [*made, Calculator(**HARD), Calculator(**DENSE)]:
        show_state(page, one)
        assert page.evaluate(OVERLAPS) == [], one
        heights.add(page.evaluate("calculator.root.offsetHeight"))
    assert len(heights) == 1


@pytest.mark.parametrize("theme", PAPER)
def test_what_is_written_can_be_read_in_both_themes(open_page, theme):
    """Contrast of ink and of bars with the page, as WCAG counts it."""
    page = open_page(theme=theme)
    contrast = """css => {
      const pen = document.createElement('canvas')
        .getContext('2d', { willReadFrequently: true });
      const light = colour => {
        pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].map(v => v / 255)
          .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b };
      const [name, part] = css;
      const ink = getComputedStyle(document.querySelector(name))[part];
      const paper = getComputedStyle(document.body).backgroundColor;
      const [a, b] = [light(ink), light(paper)].sort((x, y) => y - x);
      return (a + 0.05) / (b + 0.05) }"""
    for css in (".answer", ".item small", "section > .muted"):
        assert page.evaluate(contrast, [css, "color"]) > 4.5, css
    assert page.evaluate(contrast, [".track span", "backgroundColor"]) > 3


def test_the_widget_and_its_model_follow_each_other(open_page):
    """anywidget's render, with a stand-in for the model of the kernel."""
    page = open_page()
    made = Calculator("MoE-256")
    page.evaluate(
        """async values => {
          const { default: widget } = await import('./calculator.js');
          const on = window.on = {};
          window.sent = [];
          window.model = { get: k => values[k], on: (k, f) => (on[k] = f),
            off: k => delete on[k], save_changes: () => sent.push(values.state),
            set(k, v) { values[k] = v; on['change:' + k]?.() } };
          const el = document.body.appendChild(document.createElement('div'));
          el.id = 'view';
          window.close = widget.render({ model, el }) }""",
        {"data": made.data, "state": made.state},
    )
    view = page.locator("#view")
    view.locator("[data-ready]").wait_for()
    view.locator("[data-key=devices] input").press("ArrowRight")
    frame(page)
    assert page.evaluate("sent.map(s => s.devices)") == [32]
    # what the kernel sets is shown, and not sent back
    page.evaluate("s => model.set('state', s)", Calculator("MoE-4").state)
    frame(page)
    assert view.locator("[data-key=num_experts] b").inner_text() == "4"
    assert page.evaluate("sent.length") == 1
    page.evaluate("window.close()")
    left = "[document.getElementById('view').children.length, Object.keys(on).length]"
    assert page.evaluate(left) == [0, 0]
    # the other view of the page did not move
    assert page.evaluate("calculator.state.num_experts") == INPUTS[0][4]
