"""The player in a plain page: keys, play, variants, dragging, themes, speed."""

import statistics
from itertools import pairwise

import pytest

from . import scenes
from .page import PAPER, frame

SLIDER = "input[type=range]"


def _state(page) -> int:
    return page.evaluate("player.state")


def test_a_key_changes_the_picture_in_place(show):
    page = show(scenes.rich())
    plot = page.locator("svg.plot")
    page.evaluate(
        "() => { window.kept ="
        "[...document.querySelectorAll('svg.plot, svg.plot > g')];"
        "window.added = 0; new MutationObserver(all => all.forEach(m =>"
        "window.added += m.addedNodes.length)).observe(kept[0],"
        "{ childList: true, subtree: true }) }"
    )
    before = plot.screenshot()
    page.focus(SLIDER)
    page.keyboard.press("ArrowRight")
    frame(page)
    assert plot.screenshot() != before
    page.keyboard.press("ArrowLeft")
    frame(page)
    assert plot.screenshot() == before
    same = (
        "() => { const now = document.querySelectorAll('svg.plot, svg.plot > g');"
        "return now.length === kept.length && kept.every((n, i) => n === now[i]) }"
    )
    assert page.evaluate(same)
    # The first way there may add nodes for new looks; the same way again adds none.
    page.evaluate("window.added = 0")
    page.keyboard.press("ArrowRight")
    frame(page)
    assert page.evaluate("window.added") == 0


def test_arrows_home_and_end_on_slider_and_plot(show):
    page = show(scenes.small())
    outer = "window.outer = 0; document.addEventListener('keydown', () => outer++)"
    page.evaluate(outer)
    for place in (SLIDER, "svg.plot"):
        page.focus(place)
        seen = []
        for key in ("End", "ArrowLeft", "ArrowDown", "Home", "ArrowRight", "ArrowUp"):
            page.keyboard.press(key)
            seen.append(_state(page))
        page.keyboard.press("Home")
        assert seen == [4, 3, 2, 0, 1, 2], place
    # JupyterLab's and mdBook's own keys must not see them
    assert page.evaluate("window.outer") == 0


def test_the_slider_says_its_value_and_the_numbers_are_live(show):
    page = show(scenes.small())
    slider = page.locator(SLIDER)
    assert slider.get_attribute("aria-label") == "step"
    assert slider.get_attribute("aria-valuetext") == "step 0"
    slider.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "step 1"
    frame(page)
    assert page.locator("[aria-live=polite]").inner_text().split() == ["length", "0.40"]
    plot = page.locator("svg.plot")
    assert plot.get_attribute("role") == "img"
    assert plot.get_attribute("aria-label") == "A line that grows with the slider."


def test_play_reaches_the_end_and_starts_over(show):
    page = show(scenes.small(states=9) | {"interval_ms": 150})
    button = page.locator("button")
    for _ in range(2):
        assert button.get_attribute("aria-label") == "play"
        button.click()
        assert button.get_attribute("aria-label") == "pause"
        assert _state(page) < 8
        page.wait_for_function("player.state === 8 && !player.timer")
    button.click()
    page.wait_for_function("player.state === 1")
    button.click()
    stopped = _state(page)
    page.wait_for_timeout(400)
    assert _state(page) == stopped < 8


def test_play_is_slow_where_motion_is_to_be_reduced(show):
    page = show(scenes.small(), reduced_motion="reduce")
    page.evaluate("window.began = performance.now()")
    page.locator("button").click()
    page.wait_for_function("player.state === 4", timeout=10_000)
    # four steps of 400 ms; without the wish they would take 120 ms each
    assert page.evaluate("performance.now() - began") > 1400


def test_the_variant_is_a_radio_group_of_its_own(show):
    page = show(scenes.small(variants=3))
    page.evaluate(
        "async () => { const { mount } = await import('./player.js');"
        "const el = document.body.appendChild(document.createElement('div'));"
        "window.other = mount(el, player.scene) }"
    )
    line = "document.querySelector('svg.plot path[clip-path]').getAttribute('d')"
    before = page.evaluate(line)
    page.get_by_role("radio", name="slope 2").first.check()
    frame(page)
    assert page.evaluate("[player.variant, other.variant]") == [2, 0]
    assert page.evaluate(line) != before
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("player.variant") == 1
    checked = "[...document.querySelectorAll('input[type=radio]')].map(r => r.checked)"
    assert page.evaluate(checked) == [False, True, False, True, False, False]


def test_the_variant_may_have_a_slider_instead(show):
    scene = scenes.small(variants=3)
    scene["variants"]["slider"] = True
    page = show(scene)
    assert page.locator("input[type=radio]").count() == 0
    first, second = page.locator(SLIDER).all()
    line = "document.querySelector('svg.plot path[clip-path]').getAttribute('d')"
    before = page.evaluate(line)
    second.press("ArrowRight")
    frame(page)
    assert page.evaluate("[player.state, player.variant]") == [0, 1]
    assert page.evaluate(line) != before
    assert second.get_attribute("aria-label") == "slope"
    assert second.get_attribute("aria-valuetext") == "slope 1"
    first.press("End")
    assert page.evaluate("[player.state, player.variant]") == [4, 1]
    assert (first.input_value(), second.input_value()) == ("4", "1")
    page.evaluate("player.go(0, 2)")  # as the kernel would
    assert (first.input_value(), second.input_value()) == ("0", "2")


def test_a_number_stands_for_shared_layers(show):
    scene = scenes.small(variants=2)
    own = [[state["panels"] for state in row] for row in scene["states"]]
    scene["shared"] = [panel for row in own for (panel,) in row]
    for v, row in enumerate(scene["states"]):
        for i, state in enumerate(row):
            state["panels"] = [[5 * v + i]]
    line = "document.querySelector('svg.plot path[clip-path]').getAttribute('d')"
    drawn = []
    for given in (scenes.small(variants=2), scene):
        page = show(given)
        page.evaluate("player.go(3, 1)")
        frame(page)
        drawn.append(page.evaluate(line))
    assert drawn[0] == drawn[1]


def test_dragging_the_handle_picks_the_nearest_state(show):
    page = show(scenes.small())
    handle = page.locator(".handle")
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    aim = page.evaluate(
        "() => { const { x } = player.spot(player.states[3].handle);"
        "return x + document.querySelector('svg.plot').getBoundingClientRect().left }"
    )
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(aim + 6, y + 40, steps=4)
    page.mouse.up()
    frame(page)
    assert _state(page) == 3
    box = handle.bounding_box()
    assert box["x"] + box["width"] / 2 == pytest.approx(aim, abs=1)
    assert handle.evaluate("e => getComputedStyle(e).touchAction") == "none"
    page.mouse.move(x, y)  # let go: nothing follows any more
    assert _state(page) == 3
    focused = page.evaluate("document.activeElement.classList.contains('plot')")
    assert focused


@pytest.mark.parametrize("theme, fill", [("light", "#7e1f26"), ("dark", "#f0713c")])
def test_the_palette_follows_the_ink_of_the_page(show, theme, fill):
    page = show(scenes.small(), theme=theme)
    read = "getComputedStyle(document.querySelector('.moe-player'))"
    assert page.evaluate(f"{read}.getPropertyValue('--e0')") == fill
    other = "light" if theme == "dark" else "dark"
    page.evaluate(
        "([bg, fg]) => { document.documentElement.style.setProperty('--bg', bg);"
        "document.documentElement.style.setProperty('--fg', fg) }",
        list(PAPER[other].values()),
    )
    frame(page)
    assert page.evaluate(f"{read}.getPropertyValue('--e0')") != fill


@pytest.mark.parametrize("name", ["rich", "eight"])
def test_a_phone_needs_no_sideways_scrolling(show, name):
    page = show(getattr(scenes, name)(), width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    boxes = page.evaluate(
        "[...document.querySelectorAll('.moe-player svg.plot *, .moe-player .bar *')]"
        ".map(n => n.getBoundingClientRect()).filter(b => b.width)"
        ".map(b => [b.left, b.right])"
    )
    assert min(left for left, _ in boxes) >= 0 and max(r for _, r in boxes) <= 390
    tops = page.evaluate("player.panels.map(p => p.frame.top)")
    assert tops == sorted(set(tops))  # one below the other


def test_wide_pages_have_panels_side_by_side_and_resize(show):
    page = show(scenes.rich(), width=1024)
    assert page.evaluate("new Set(player.panels.map(p => p.frame.top)).size") == 1
    page.set_viewport_size({"width": 500, "height": 900})
    page.wait_for_function("new Set(player.panels.map(p => p.frame.top)).size === 2")


def test_every_cell_of_a_territory_is_painted_once(show):
    page = show(scenes.rich())
    area = r"""() => { let sum = 0; const { frame, live } = player.panels[1];
      for (const path of live.querySelectorAll("path[fill-opacity]")) {
        if (path.getAttribute("display") === "none") continue;
        for (const m of path.getAttribute("d").matchAll(/M(\d+) (\d+)H(\d+)V(\d+)/g))
          sum += (m[3] - m[1]) * Math.abs(m[4] - m[2]);
      }
      return sum / (frame.right - frame.left) / (frame.bottom - frame.top) }"""
    for key in ("Home", "End"):
        page.locator(SLIDER).press(key)
        frame(page)
        assert page.evaluate(area) == 1


def test_labels_keep_off_each_other(show):
    page = show(scenes.eight())
    page.focus(SLIDER)
    page.keyboard.press("End")
    frame(page)
    ys = page.evaluate(
        "[...player.panels[0].badges.group.querySelectorAll('rect')]"
        ".map(r => +r.getAttribute('y')).sort((a, b) => a - b)"
    )
    assert len(ys) == 8
    assert min(b - a for a, b in pairwise(ys)) >= 17.9


def test_nothing_jumps_while_the_slider_moves(show):
    page = show(scenes.rich(), width=390)
    heights = set()
    page.focus(SLIDER)
    for key in ("Home", "PageUp", "End"):
        page.keyboard.press(key)
        frame(page)
        heights.add(page.evaluate("player.root.offsetHeight"))
    assert len(heights) == 1


def test_a_key_press_is_painted_in_time(show, record_property):
    page = show(scenes.heavy())
    page.evaluate(
        "() => { window.times = []; addEventListener('keydown', e =>"
        "requestAnimationFrame(() => { const c = new MessageChannel();"
        "c.port1.onmessage = () => times.push(performance.now() - e.timeStamp);"
        "c.port2.postMessage(0) }), true) }"
    )
    page.focus(SLIDER)
    for _ in range(20):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(60)
    times = page.evaluate("times")
    assert len(times) == 20 and _state(page) == 20
    record_property("median_ms", statistics.median(times))
    print(
        f"median {statistics.median(times):.0f} ms, {min(times):.0f}-{max(times):.0f}"
    )
    assert statistics.median(times) <= 120


def test_the_widget_and_its_model_follow_each_other(show):
    """anywidget's render, with a stand-in for the model of the kernel."""
    from playwright.sync_api import expect

    page = show(scenes.small(variants=2))
    page.evaluate(
        """async () => {
          const { default: widget } = await import("./player.js");
          const data = { scene: player.scene, state: 2, variant: 1 }, on = {};
          window.saved = 0;
          window.model = { get: k => data[k], on: (k, f) => (on[k] = f),
            off: k => delete on[k], save_changes: () => saved++,
            set(k, v) { data[k] = v; on["change:" + k]?.() } };
          window.on = on;
          const el = document.body.appendChild(document.createElement("div"));
          el.id = "view";
          window.close = widget.render({ model, el });
          window.view = el;
        }"""
    )
    view = page.locator("#view .moe-player")
    slider = view.locator(SLIDER)
    expect(slider).to_have_value("2")  # with the next frame
    slider.press("ArrowRight")
    assert page.evaluate("[model.get('state'), model.get('variant'), saved]") == [
        3,
        1,
        1,
    ]
    page.evaluate("model.set('state', 0); model.set('variant', 0)")
    expect(slider).to_have_value("0")
    assert page.evaluate("saved") == 1  # what the kernel says is not sent back
    page.evaluate("window.close()")
    assert page.evaluate("[view.children.length, Object.keys(on).length]") == [0, 0]
