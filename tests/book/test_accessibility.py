"""axe on every page of the book: no violation, in light and in dark."""

from __future__ import annotations

from importlib.resources import files

import pytest
from test_pages import PLAIN, draw_all

from browser_tools import missing_browser
from sources import chapter_names

pytestmark = pytest.mark.skipif(bool(missing_browser()), reason=str(missing_browser()))
AXE = files("axe_playwright_python") / "axe.min.js"
API = ("api/moe_lib", "api/moe_lib/routers", "api/moe_lib/training")


#: What another theme can change.
COLOURS = ["color-contrast", "link-in-text-block"]


def violations(page, only: list[str] | None = None) -> list[str]:
    """What axe finds; inside plotly's drawings are thousands of nodes: left out."""
    page.add_script_tag(content=AXE.read_text("utf-8"))
    found = page.evaluate(
        """only => axe.run({exclude: [".main-svg"]}, {
            resultTypes: ["violations"],
            ...(only && {runOnly: only}),
        }).then(result => result.violations)""",
        only,
    )
    return [
        f"{v['id']}, {len(v['nodes'])} times: {v['nodes'][0]['html'][:200]}"
        for v in found
    ]


@pytest.mark.parametrize("name", [*PLAIN, *chapter_names(), *API])
def test_axe_finds_nothing(visit, name):
    page = visit(name)
    draw_all(page)
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")  # what the reference follows
    page.evaluate("document.getElementById('mdbook-theme-navy')?.click()")
    page.wait_for_timeout(300)
    assert violations(page, COLOURS) == []


def test_axe_is_at_work(visit):
    page = visit("terms")
    page.evaluate("document.querySelector('main').insertAdjacentHTML("
                  "'beforeend', '<img src=\"data:,\"><h5>too deep</h5>')")  # fmt: skip
    assert {line.split(",")[0] for line in violations(page)} >= {
        "image-alt",
        "heading-order",
    }


def test_the_side_bar_opens_by_keyboard(visit):
    page = visit("terms", width=390)
    button = page.locator("button#mdbook-sidebar-toggle")
    assert button.get_attribute("aria-expanded") == "false"
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(400)
    assert button.get_attribute("aria-expanded") == "true"
    left = "bar => bar.getBoundingClientRect().left"
    assert page.locator("#mdbook-sidebar").evaluate(left) == 0
