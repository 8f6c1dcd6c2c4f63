"""What stored chapters owe their readers: headings in order, words for each picture,
no cell that needs a later one."""

from __future__ import annotations

import ast
import builtins
import symtable
from itertools import pairwise

import pytest
from markdown_it import MarkdownIt

from sources import CHAPTERS, chapter_names, read_notebook
from tidy import PLOTLY, VIEWS

CHAPTER = pytest.mark.parametrize("name", chapter_names())
#: A sentence: at least so many characters, so many words.
LETTERS, WORDS = 40, 6


def cells(name: str, kind: str) -> list[dict]:
    notebook = read_notebook(CHAPTERS / f"{name}.ipynb")
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def levels(markdown: str) -> list[int]:
    """Of the headings: 1 for #, 2 for ##."""
    tokens = MarkdownIt().parse(markdown)
    return [int(t.tag[1]) for t in tokens if t.type == "heading_open"]


@CHAPTER
def test_headings_are_in_order(name):
    found = [n for cell in cells(name, "markdown") for n in levels(cell["source"])]
    assert found[0] == 1 and found.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(found)), found


def pictures(name: str) -> list[str]:
    """What is said of each picture of a chapter, for who does not see it."""
    said = []
    for output in (o for cell in cells(name, "code") for o in cell["outputs"]):
        data = output.get("data", {})
        if PLOTLY in data:
            said.append((data[PLOTLY]["layout"].get("meta") or {}).get("alt", ""))
        elif view := VIEWS.keys() & data.keys():
            said.append(data[view.pop()].get("alt", ""))
        elif "image/png" in data or "image/svg+xml" in data:
            said.append("".join(data.get("text/plain", "")))
    for cell in cells(name, "markdown"):
        for token in MarkdownIt().parse(cell["source"]):
            images = [c for c in token.children or [] if c.type == "image"]
            # the badge says where its link leads; that is all it shows
            said += [i.content for i in images if "open-in-colab" not in i.attrs["src"]]
    return said


@CHAPTER
def test_every_picture_is_told_in_a_sentence(name):
    said = pictures(name)
    assert said, "no picture at all?"
    short = [s for s in said if len(s) < LETTERS or len(s.split()) < WORDS]
    assert not short, "say what is seen"
    assert not [s for s in said if "nan" in s.split() or "None" in s]


def needed(source: str) -> tuple[set[str], set[str]]:
    """Names that a cell takes from outside, and those that it defines for others.

    Names in functions count as taken where the function is defined.
    """
    table = symtable.symtable(source, "cell", "exec")
    makes = {s.get_name() for s in table.get_symbols() if s.is_assigned()}
    makes |= {s.get_name() for s in table.get_symbols() if s.is_imported()}
    takes, tables = set(), [table]
    while tables:
        inner = tables.pop()
        tables += inner.get_children()
        takes |= {
            s.get_name()
            for s in inner.get_symbols()
            if s.is_referenced() and (s.is_global() or inner is table)
        }
    return takes - makes - set(dir(builtins)), makes


def first_use_before_making(source: str, known: set[str]) -> set[str]:
    """Names made and used in one cell, where a statement uses one not made yet."""
    early: set[str] = set()
    for statement in ast.parse(source).body:
        takes, makes = needed(ast.unparse(statement))
        early |= takes - known
        known = known | makes
    return early


@CHAPTER
def test_no_cell_needs_a_later_one(name):
    known = {"__name__"}
    for cell in cells(name, "code"):
        assert not first_use_before_making(cell["source"], known), cell["source"]
        known |= needed(cell["source"])[1]


@pytest.mark.parametrize(
    "source", ["y = x", "def f():\n    return x", "print(y)\ny = 1"]
)
def test_a_missing_name_is_found(source):
    assert first_use_before_making(source, set())
