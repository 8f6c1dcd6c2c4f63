"""The scoreboard is made from the notebooks, and refuses what was edited by hand."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys

import pytest
from building import ROOT, mdbook

import scoreboard
from browser_tools import missing_browser
from moe_lib.course import Claim, ClaimsTable
from moe_lib.course.evidence import Below, Cited
from sources import CHAPTERS, chapter_names
from tidy import CLAIMS, comparable, tidied

TABLE = ClaimsTable(
    Claim("M1.a", "a < b", "paper", "1 < 2", Below([1.0, 2.0], [8.0, 9.0])),
    Claim("M1.b", "b", "paper", "3", Cited("large")),
    stored=[Claim("M1.a", "a < b", "paper", "1 < 2", Below([8, 9], [1, 2]), "long")],
)


def notebook(*tables, title="# 1 · Tiny <course>\n\nmore"):
    heading = {"cell_type": "markdown", "source": title}
    code = {"cell_type": "code", "source": "", "metadata": {}, "outputs": []}
    for table in tables:
        data = json.loads(json.dumps(table._repr_mimebundle_()))
        output = {"output_type": "execute_result", "data": data, "metadata": {}}
        code["outputs"].append(output)
    return {"cells": [heading, code], "metadata": {}}


def store(folder, name, book):
    (folder / f"{name}.py").write_text("")
    (folder / f"{name}.ipynb").write_text(json.dumps(book))


def data_of(book):
    return book["cells"][1]["outputs"][0]["data"]


def test_every_claim_is_listed_and_counted_by_its_longest_runs(tmp_path):
    store(tmp_path, "01_tiny", notebook(TABLE))
    store(tmp_path, "00_none", notebook())
    (chapter,) = scoreboard.collect(tmp_path)
    assert chapter.title == "1 · Tiny <course>"
    assert chapter.counts == {"does not hold here": 1, "cited only": 1}
    text = scoreboard.as_text([chapter])
    assert "M1.a: does not hold here" in text and "from:  long" in text
    assert text.endswith("0 exact, 0 holds, 0 within noise, 1 does not hold here,"
                         " 1 cited only")  # fmt: skip
    page = scoreboard.as_markdown([chapter])
    assert "## 1 · Tiny <course>\n" in page
    assert '<a href="01_tiny.html">1 · Tiny &lt;course&gt;</a>' in page
    assert "a &lt; b" in page and "holds</span>" in page


def refused(folder, edit):
    """What is said of a notebook after ``edit(its output's data)``."""
    book = notebook(TABLE)
    edit(data_of(book))
    store(folder, "01_tiny", book)
    with pytest.raises(ValueError) as caught:
        scoreboard.collect(folder)
    message = str(caught.value)
    assert "\n" not in message and message.startswith("01_tiny.ipynb: ")
    assert message.endswith(": run make notebooks ONLY=01_tiny")
    return message


def test_an_edited_value_is_refused(tmp_path):
    def edit(data):
        data[CLAIMS]["claims"][0]["evidence"]["higher"] = [1.0, 2.0]

    assert "claim M1.a was edited by hand" in refused(tmp_path, edit)

    def edit_stored(data):
        data[CLAIMS]["stored"][0]["origin"] = "my desk"

    assert "claim M1.a was edited by hand" in refused(tmp_path, edit_stored)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("M1.a  holds (stored: holds)\nM1.b  cited only", "claim M1.a is shown as"),
        ("M1.a  holds (stored: does not hold here)\nM1.b  exact", "claim M1.b is"),
        ("M1.a  holds (stored: does not hold here)", "2 claims, but 1 verdicts shown"),
        ("", "2 claims, but 0 verdicts shown"),
    ],
)
def test_a_typed_verdict_is_refused(tmp_path, text, said):
    assert said in refused(tmp_path, lambda data: data.update({"text/plain": text}))


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        {},
        {"claims": []},
        {"claims": [{}], "stored": []},
        "{",
        {"claims": None, "stored": None},
    ],
)
def test_a_payload_that_cannot_be_read_is_refused(tmp_path, payload):
    said = refused(tmp_path, lambda data: data.update({CLAIMS: payload}))
    assert "not a table of claims" in said or "not the data of a claim" in said


def test_a_notebook_that_is_no_json_is_refused(tmp_path):
    store(tmp_path, "01_tiny", {})
    (tmp_path / "01_tiny.ipynb").write_text("{")
    with pytest.raises(ValueError, match=r"^01_tiny\.ipynb: .*: run make notebooks"):
        scoreboard.collect(tmp_path)


def test_an_id_in_two_chapters_is_refused(tmp_path):
    for name in ("01_tiny", "02_tiny"):
        store(tmp_path, name, notebook(TABLE))
    with pytest.raises(ValueError, match=r"02_tiny.*claim M1\.a is in 01_tiny already"):
        scoreboard.collect(tmp_path)


def test_the_command_prints_it_or_says_what_is_wrong(tmp_path):
    run = [sys.executable, ROOT / "tools/scoreboard.py", tmp_path]
    book = notebook(TABLE)
    store(tmp_path, "01_tiny", book)
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 0 and "M1.b: cited only" in done.stdout
    data_of(book)["text/plain"] = ""
    store(tmp_path, "01_tiny", book)
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("01_tiny.ipynb: 2 claims, but 0 verdicts")


def test_nbval_compares_the_verdicts_and_not_the_values():
    (output,) = notebook(TABLE)["cells"][1]["outputs"]
    before = copy.deepcopy(output)
    assert set(tidied([output])[0]["data"]) == {"text/plain", "text/html", CLAIMS}
    assert comparable([output])[0]["data"] == {"text/plain": repr(TABLE)}
    assert output == before


# -- the real chapters -------------------------------------------------------------


@pytest.fixture(scope="module")
def course():
    return scoreboard.collect(CHAPTERS)


def test_every_chapter_but_the_start_makes_claims(course):
    assert [chapter.name for chapter in course] == [
        name for name in chapter_names() if not name.startswith("00")
    ]


def test_no_verdict_would_turn_on_another_machine(course):
    tables = [table for chapter in course for table in chapter.tables]
    now = [c for t in tables for c in t.claims if not c.origin]
    fragile = [c.id for c in now if c.evidence.fragile]
    assert not fragile, "take more seeds in the quick profile"


def test_the_chapters_show_the_results_stored_today(course):
    from importlib import import_module

    for chapter in course:
        module = import_module(f"moe_lib.course.claims_{chapter.name.split('_')[0]}")
        shown = {claim.id: claim for t in chapter.tables for claim in t.stored.values()}
        stored = getattr(module, "stored_claims", list)()  # some chapters have none
        assert shown == {claim.id: claim for claim in stored}


def test_the_page_has_every_claim(book, course):
    page = (book.folder / "scoreboard.html").read_text("utf-8")
    assert "@SCOREBOARD@" not in page
    for chapter in course:
        assert f'href="{chapter.name}.html"' in page
        assert all(claim.id in page for claim in chapter.claims)


def test_an_edited_notebook_stops_the_build(tmp_path, course):
    for part in ("book.toml", "pyproject.toml"):
        shutil.copy(ROOT / part, tmp_path)
    for part in ("tools", "book", "moe_lib"):
        (tmp_path / part).symlink_to(ROOT / part)
    shutil.copytree(ROOT / "chapters", tmp_path / "chapters")
    path = tmp_path / "chapters" / f"{course[0].name}.ipynb"
    first = course[0].tables[0].claims[0]
    text = path.read_text("utf-8")
    typed = r"\1exact" if first.verdict != "exact" else r"\1holds"
    edited = re.sub(rf"({first.id} +){first.verdict}", typed, text)
    assert edited != text
    path.write_text(edited, "utf-8")
    done = mdbook("build", "-d", tmp_path / "out", cwd=tmp_path)
    assert done.returncode != 0
    assert f"{path.name}: claim {first.id} is shown as" in done.stderr


@pytest.mark.skipif(bool(missing_browser()), reason=str(missing_browser()))
@pytest.mark.parametrize("theme", ["light", "navy"])
@pytest.mark.parametrize("width", [1200, 390])
def test_the_page_fits_and_marks_are_seen(browser, book, course, theme, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.add_init_script(f"localStorage.setItem('mdbook-theme', '{theme}')")
    page.goto(f"{book.url}/scoreboard.html")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for table in page.locator(".moe-claims, .counts").all():
        assert table.evaluate("t => t.scrollWidth <= t.clientWidth"), "a table is cut"
    tables = [table for chapter in course for table in chapter.tables]
    now = [claim for table in tables for claim in table.claims if not claim.origin]
    count = len(now) + sum(len(table.stored) for table in tables)
    assert page.locator(".moe-claims .verdict").count() == count
    page.close()
