"""The pages around the chapters: landing page, terms, the library's reference."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

import api
import readme
from catalogue import LIMITS, catalogue, duration, times
from sources import CHAPTERS, ROOT, chapter_names, repository, source_cells

LIBRARY = "\n".join(
    path.read_text("utf-8") for path in (ROOT / "moe_lib").rglob("*.py")
)
#: One entry: the words, then ": " and lines that say what they mean.
ENTRY = re.compile(r"^(?P<words>[^\n:]+)\n: (?P<text>.+?)(?=\n\n|\Z)", re.M | re.S)
TERMS = {
    m["words"]: " ".join(m["text"].split())
    for m in ENTRY.finditer((CHAPTERS / "terms.md").read_text("utf-8"))
}


def test_readme_has_today_s_table_and_its_pictures():
    text = readme.README.read_text("utf-8")
    assert text == readme.with_table(text), "run python tools/readme.py"
    assert f"git clone {repository()}\n" in text
    for picture in set(re.findall(r'"(book/[\w-]+\.png)"', text)):
        assert (ROOT / picture).read_bytes().startswith(b"\x89PNG")


def test_a_readme_without_the_marks_is_refused():
    with pytest.raises(ValueError, match="lacks the lines"):
        readme.with_table("# no table")


def test_every_chapter_is_on_the_landing_page_with_what_comes_before(book):
    page = (book.folder / "index.html").read_text("utf-8")
    for chapter in catalogue():
        assert f'href="{chapter.name}.html"' in page
        assert f"reading {chapter.reading}" in page
        assert set(chapter.builds_on) <= set(chapter_names())
        assert chapter.builds_on or chapter.number == "0"


def test_the_course_takes_no_longer_than_promised():
    seconds = times()["seconds"]
    assert set(seconds) == set(chapter_names())
    assert sum(seconds.values()) <= LIMITS["course"]
    assert max(seconds.values()) <= LIMITS["chapter"]


def test_chapters_say_the_seconds_that_were_measured():
    for chapter in catalogue():
        text = source_cells(CHAPTERS / f"{chapter.name}.py")[0]["source"]
        stated = re.search(r"\*Running:\* (\d+) seconds", text)[1]
        assert duration(chapter.seconds) == f"{stated} s", chapter.name


def test_the_index_of_terms_is_in_order_and_says_where():
    words = [word.lower() for word in TERMS]
    assert words == sorted(words) and len(words) >= 35
    for word, text in TERMS.items():
        assert re.search(r"\(\w+\.ipynb\)", text), f"{word}: where?"


@pytest.mark.parametrize("word", TERMS)
def test_what_a_term_is_called_here_is_in_the_library(word):
    for part in re.findall(r"Here (.+?)(?:elsewhere|; in |\. |$)", TERMS[word]):
        for name in re.findall(r"`([^`]+)`", part):
            if name.startswith("moe_lib."):
                import_module(name)
            else:
                spelled = re.escape(name.partition("=")[0].rpartition(".")[2])
                assert re.search(rf"(?<!\w){spelled}(?!\w)", LIBRARY), name


def test_the_reference_has_every_module_with_its_docstring(book):
    library = (book.folder / "library.html").read_text("utf-8")
    for name in api.modules():
        assert f'href="api/moe_lib/{name}.html"' in library
        page = (book.folder / "api" / "moe_lib" / f"{name}.html").read_text("utf-8")
        assert "library.html" in page, "no way back"
    routers = (book.folder / "api" / "moe_lib" / "routers.html").read_text("utf-8")
    assert "capacity_factor" in routers and "ExpertChoiceRouter" in routers


def test_the_book_can_be_searched_for_a_term(book):
    (index,) = book.folder.glob("searchindex*.js")
    text = index.read_text("utf-8")
    assert "terms.html" in text and "second expert policy" in text.lower()
