"""One JupyterLab and one Chromium for all tests here; each chapter runs once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from lab_page import LabPage
from lab_server import ROOT, running_lab

from tidy import VIEWS

CHAPTERS = sorted(path.stem for path in (ROOT / "chapters").glob("[0-9]*.ipynb"))


def pytest_addoption(parser):
    parser.addoption("--part", default="1/1", metavar="I/N",
                     help="the I-th of N parts of these tests: some of the chapters, "
                     "and in the first all that is about none")  # fmt: skip


def pytest_collection_modifyitems(config, items):
    number, parts = map(int, config.getoption("--part", "1/1").split("/"))
    if not 1 <= number <= parts:
        raise pytest.UsageError(f"--part={number}/{parts}: give 1/2 and 2/2, say")

    def part(item) -> int:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        return CHAPTERS.index(params["chapter"]) % parts if "chapter" in params else 0

    others = [item for item in items if part(item) != number - 1]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if part(item) == number - 1]


@pytest.fixture(scope="session")
def lab(browser, tmp_path_factory):
    if not shutil.which("make"):
        pytest.skip("make is missing, and these tests start what `make lab` starts")
    with running_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


class Chapter(NamedTuple):
    """A chapter that was run, what was seen before, and what it took (seconds)."""

    view: LabPage
    stored: dict[str, int]
    shown: dict[str, int]
    first_picture: float
    whole: float


MIMES = {
    "plotly": {"application/vnd.plotly.v1+json"},
    "view": set(VIEWS),
}


def stored_pictures(path: Path) -> dict[str, int]:
    """How many outputs of each kind the file has."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    outputs = [out for cell in cells for out in cell.get("outputs", [])]
    return {
        kind: sum(bool(mimes & out.get("data", {}).keys()) for out in outputs)
        for kind, mimes in MIMES.items()
    }


# A stored view is seen as its still; a plotly figure too, until it is pointed at.
SHOWN = """() => Object.fromEntries(Object.entries({
    plotly: '.jp-RenderedPlotly :is(img.plot-img, .main-svg:first-child)',
    view: '.jp-RenderedImage img' })
  .map(([kind, css]) => [kind, [...document.querySelectorAll(css)]
    .filter(node => node.naturalWidth ?? node.clientWidth).length]))"""


@pytest.fixture(scope="session", params=CHAPTERS)
def chapter(request, browser, lab):
    """The chapter in JupyterLab: looked at as stored, photographed, then run."""
    stored = stored_pictures(lab.chapters / f"{request.param}.ipynb")
    view = LabPage(browser, lab, request.param)
    try:
        view.shoot("stored")
        shown = view.page.evaluate(SHOWN)
        if stored["plotly"]:  # pointed at, a stored figure becomes a live one
            view.point_at(".jp-RenderedPlotly img.plot-img")
            view.page.wait_for_selector(
                ".jp-RenderedPlotly .main-svg", state="attached"
            )
        first, whole = view.run_all()
        view.shoot("light")
        yield Chapter(view, stored, shown, first, whole)
    finally:
        view.close()


@pytest.fixture(autouse=True)
def nothing_in_the_console(request):
    """No test here may leave an error in the console or ask another host."""
    yield
    if "chapter" in request.fixturenames:
        troubles = request.getfixturevalue("chapter").view.troubles
        found = list(dict.fromkeys(troubles))
        troubles.clear()
        assert not found
