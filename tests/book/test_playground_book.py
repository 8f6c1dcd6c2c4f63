"""A playground in a built book: mounted as on any page, with no other host to ask."""

from __future__ import annotations

import json
import shutil

import nbformat
import pytest
from building import ROOT, mdbook

from browser_tools import missing_browser
from moe_lib.widgets import PLAYGROUND_MIME, Playground
from moe_lib.widgets.playground_tables import BUTTONS, SETTINGS
from notebook_file import as_text
from stills import add_stills, live_outputs, still_key
from tidy import PLAYGROUND, tidied
from widgets.page import served

SOURCE = """\
# %% [markdown]
# # A page
# %%
from moe_lib.widgets import Playground

Playground("gshard", capacity_factor=1)
"""
needs_browser = pytest.mark.skipif(
    bool(missing_browser()), reason=str(missing_browser())
)


@pytest.fixture(scope="module")
def output() -> dict:
    """The cell's output as a notebook stores it."""
    data, _ = Playground("gshard", capacity_factor=1)._repr_mimebundle_()
    raw = {"output_type": "execute_result", "execution_count": 1, "data": data}
    (stored,) = tidied([{**raw, "metadata": {}}])
    return stored


@pytest.fixture(scope="module")
def page_of_book(tmp_path_factory, output):
    """Address of a book with one page, made from such a notebook."""
    folder = tmp_path_factory.mktemp("book")
    for part in ("book.toml", "pyproject.toml"):
        shutil.copy(ROOT / part, folder)
    for part in ("tools", "book", "moe_lib"):
        (folder / part).symlink_to(ROOT / part)
    chapters = folder / "chapters"
    chapters.mkdir()
    (chapters / "SUMMARY.md").write_text("# Summary\n\n- [A page](00_page.ipynb)\n")
    (chapters / "00_page.py").write_text(SOURCE)
    markdown, code = (part.split("\n", 1)[1] for part in SOURCE.split("# %%")[1:])
    cells = [
        nbformat.v4.new_markdown_cell(markdown.removeprefix("# ").strip()),
        nbformat.v4.new_code_cell(code.strip(), outputs=[output], execution_count=1),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    (chapters / "00_page.ipynb").write_text(as_text(notebook))
    done = mdbook("build", "-d", folder / "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    with served(folder / "out") as address:
        yield f"{address}00_page.html"


@needs_browser
@pytest.mark.parametrize("theme, colour", [("light", "#7e1f26"), ("navy", "#f0713c")])
@pytest.mark.parametrize("width", [1200, 390])
def test_the_main_slider_moves_the_picture(browser, page_of_book, theme, colour, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    troubles = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda line: line.type == "error" and troubles.append(line.text))
    host = page_of_book.rsplit("/", 1)[0]
    page.on(
        "request",
        lambda request: (
            request.url.startswith((host, "data:", "blob:"))
            or troubles.append(request.url)
        ),
    )
    page.add_init_script(f"localStorage.setItem('mdbook-theme', '{theme}')")
    page.goto(page_of_book)
    view = page.locator('.live[data-kind="playground"] .moe-playground[data-ready]')
    view.wait_for()
    assert view.locator("button").all_inner_texts() == list(BUTTONS.values())
    keys = "labels => labels.map(label => label.dataset.key)"
    assert view.locator("label").evaluate_all(keys) == ["text", "router", *SETTINGS]
    plot = view.locator(".plot").first
    for key, pressed in (("capacity_factor", "End"), ("num_experts", "Home")):
        before = plot.get_attribute("aria-label")
        view.locator(f"[data-key={key}] input").press(pressed)
        page.wait_for_timeout(100)
        assert plot.get_attribute("aria-label") != before
    read = "n => getComputedStyle(n).getPropertyValue('--e0')"
    assert view.evaluate(read) == colour
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.url == page_of_book  # no key turned the page
    page.close()
    assert troubles == []


def test_the_notebook_keeps_the_data_and_no_live_view(output):
    assert PLAYGROUND == PLAYGROUND_MIME
    assert set(output["data"]) == {"text/plain", PLAYGROUND}
    assert output["data"]["text/plain"].startswith("Playground(router=")


@needs_browser
def test_a_still_picture_is_drawn_for_pages_without_scripts(tmp_path, output):
    """In a process of its own: playwright runs only once in this one."""
    import subprocess
    import sys

    notebook = {"cells": [{"outputs": [dict(output)]}]}
    code = (
        "import json, sys; from stills import add_stills;"
        "book = json.load(sys.stdin); assert add_stills([book], {}) is None;"
        "print(json.dumps(book))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(notebook), capture_output=True, text=True,
        cwd=ROOT / "tools", check=True,
    )  # fmt: skip
    ((key, drawn),) = live_outputs(json.loads(done.stdout))
    assert key == still_key(PLAYGROUND, output["data"][PLAYGROUND])
    assert drawn["metadata"]["still"] == key
    assert len(drawn["data"]["image/png"]) > 20_000
    # known already: no browser is started
    assert add_stills([notebook], {key: "picture"}) is None
