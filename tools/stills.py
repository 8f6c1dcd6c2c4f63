"""Still pictures of live outputs, for readers whose page runs no script (GitHub).

Every plotly figure and every output of a view (`tidy.VIEWS`) gets an image/png
beside its data. The picture is named by a hash of that data, so an unchanged output
keeps the picture it has, byte for byte, and no browser is started.
"""

from __future__ import annotations

import base64
import hashlib
import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

from sources import ROOT
from tidy import PLOTLY, VIEWS

# Run on its own: importing moe_lib would load torch as well.
_MODULES = runpy.run_path(str(ROOT / "moe_lib" / "widgets" / "modules.py"))
module_text = _MODULES["module_text"]
WIDTH = 760

DRAW_PLOTLY = """async (figure) => {
  await Plotly.newPlot("view", figure.data, figure.layout,
                       {staticPlot: true, displaylogo: false});
}"""
DRAW_VIEW = """async ([code, data]) => {
  const file = new Blob([code], {type: "text/javascript"});
  const view = await import(URL.createObjectURL(file));
  view.mount(document.getElementById("view"), data);
}"""
PAGE = f"""<!doctype html><meta charset="utf-8">
<body style="margin:0;background:#fff;color:#000;font-family:sans-serif">
<div id="view" style="width:{WIDTH}px;padding:6px;box-sizing:border-box"></div>"""
DARK_PAGE = PAGE.replace(
    "background:#fff;color:#000",
    "background:#0d1117;color:#e6edf3;color-scheme:dark;--fg:#e6edf3;--bg:#0d1117",
)


def plotly_js() -> Path:
    """plotly.min.js of the installed plotly."""
    import plotly

    return Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def live(output: dict) -> tuple[str, object] | None:
    """``(mime, data)`` of an output that moves, None for any other."""
    data = output.get("data", {})
    return next(((mime, data[mime]) for mime in (*VIEWS, PLOTLY) if mime in data), None)


def still_key(mime: str, data: object) -> str:
    """Hash of what the picture shows (for a view of ours, of its code too)."""
    text = json.dumps(data, sort_keys=True)
    if mime in VIEWS:
        text += module_text(VIEWS[mime])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def live_outputs(notebook: dict) -> Iterator[tuple[str, dict]]:
    """``(key, output)`` of every live output of a notebook."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if found := live(output):
                yield still_key(*found), output


def stored_stills(notebook: dict) -> dict[str, str]:
    """Pictures that a stored notebook has already: key -> base64 PNG."""
    return {
        output["metadata"]["still"]: "".join(output["data"]["image/png"])
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if "still" in output.get("metadata", {})
    }


def draw(views: dict[str, tuple[str, object]], html: str = PAGE) -> dict[str, str]:
    """Draw ``key -> (mime, data)`` on a page in Chromium; key -> base64 PNG."""
    from playwright.sync_api import sync_playwright

    sys.path.insert(0, str(ROOT / "tests"))
    from browser_tools import launch

    pictures = {}
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": WIDTH, "height": 600})
        for key, (mime, data) in views.items():
            page.set_content(html)
            if mime == PLOTLY:
                page.add_script_tag(path=plotly_js())
                page.evaluate(DRAW_PLOTLY, data)
            else:
                page.evaluate(DRAW_VIEW, [module_text(VIEWS[mime]), data])
            page.wait_for_timeout(100)  # fonts and one frame
            picture = page.locator("#view").screenshot(animations="disabled")
            pictures[key] = base64.b64encode(picture).decode()
        browser.close()
    return pictures


def add_stills(notebooks: list[dict], known: dict[str, str]) -> str | None:
    """Give every live output its picture, in place.

    ``known`` are pictures drawn before. Returns a line that says what is missing
    and how to get it, or None when every output has its picture.
    """
    sys.path.insert(0, str(ROOT / "tests"))
    from browser_tools import missing_browser

    wanted = {
        key: live(output)
        for notebook in notebooks
        for key, output in live_outputs(notebook)
        if key not in known
    }
    problem = missing_browser() if wanted else None
    if wanted and not problem:
        known = {**known, **draw(wanted)}
    for notebook in notebooks:
        for key, output in live_outputs(notebook):
            if key in known:
                output["data"]["image/png"] = known[key]
                output["metadata"] = {"still": key}
    return problem and f"{len(wanted)} outputs have no still picture: {problem}"
