"""The book in Chromium: light and dark, desktop and phone, no other host."""

from __future__ import annotations

import pytest

from browser_tools import missing_browser
from sources import chapter_names

pytestmark = pytest.mark.skipif(bool(missing_browser()), reason=str(missing_browser()))
PAGES = pytest.mark.parametrize("name", chapter_names())
PLAIN = ("index", "scoreboard", "terms", "library", "teaching")
#: What a visit may load, in bytes, when every figure was looked at. A script of 4.8 MB
#: draws all plotly figures; pages without one do not load it.
BUDGET = {True: 8_000_000, False: 1_500_000}
THEMES = pytest.mark.parametrize("theme", ["light", "navy"])
WIDTHS = pytest.mark.parametrize("width", [1200, 390])


def draw_all(page) -> None:
    """Bring every live output near the screen, and wait until it is drawn."""
    for element in page.locator(".live").all():
        element.scroll_into_view_if_needed()
    page.wait_for_function(
        "document.querySelectorAll('.live:not([data-ready])').length === 0"
    )


@WIDTHS
@THEMES
@PAGES
def test_a_page_is_drawn_and_fits(visit, name, theme, width):
    page = visit(name, theme, width)
    draw_all(page)
    assert page.locator(".live").count() > 0
    figures = page.locator('.live[data-kind="plotly"]').count()
    assert page.locator(".live .main-svg").count() >= figures
    if not name.startswith("00"):
        assert page.locator("main math").count() > 5
    assert theme in page.evaluate("document.documentElement.className")
    assert_fits(page, width)
    assert sum(page.weights) <= BUDGET[figures > 0]


def assert_fits(page, width: int) -> None:
    scroll = page.evaluate("document.documentElement.scrollWidth")
    assert scroll <= width, f"the page is {scroll} wide on a screen of {width}"


@WIDTHS
@pytest.mark.parametrize("name", [*PLAIN, "api/moe_lib", "api/moe_lib/routers"])
def test_the_other_pages_fit(visit, name, width):
    page = visit(name, "navy", width)
    draw_all(page)
    assert_fits(page, width)
    assert sum(page.weights) <= BUDGET[False]
    if name == "index":
        assert page.locator(".live .moe-playground").count() == 1


@PAGES
def test_a_slider_moves_the_picture(visit, name):
    page = visit(name)
    draw_all(page)
    players = page.locator('.live[data-kind="player"]')
    for player in players.all():
        slider = player.locator("input[type=range]").first
        slider.scroll_into_view_if_needed()
        before = player.screenshot()
        slider.focus()
        page.keyboard.press("End" if is_at_start(slider) else "Home")
        page.wait_for_timeout(300)
        assert player.screenshot() != before


def is_at_start(slider) -> bool:
    return slider.evaluate("s => Number(s.value) === Number(s.min)")


@PAGES
def test_figures_follow_the_theme(visit, name):
    page = visit(name)
    draw_all(page)
    texts = page.locator(".live .drawn .main-svg text")
    if not texts.count():
        pytest.skip("no plotly figure here")
    colour = "t => getComputedStyle(t).fill"
    light = texts.first.evaluate(colour)
    page.evaluate(
        "() => { const c = document.documentElement.classList;"
        " c.remove('light'); c.add('navy'); }"
    )
    page.wait_for_timeout(500)
    assert texts.first.evaluate(colour) != light


def test_a_dark_page_is_printed_in_light_colours(visit):
    page = visit("04_switch", "navy")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert "light" in page.evaluate("document.documentElement.className")
    filtered = "i => getComputedStyle(i).filter"
    assert page.locator(".live img").last.evaluate(filtered) == "none"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert "navy" in page.evaluate("document.documentElement.className")
    assert page.locator(".live img").last.evaluate(filtered) != "none"
