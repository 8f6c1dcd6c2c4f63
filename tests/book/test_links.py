"""Links: those inside the project lead somewhere, those outside are well formed."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from sources import CHAPTERS, ROOT, chapter_names, read_notebook, source_cells

#: Inside figures, links stand in text: <a href='04_switch.html'>.
IN_TEXT = re.compile(r"<a [^>]*?href=\\?['\"]([^'\"\\$]+)")
MARKDOWN = re.compile(r"\]\(([^)\s]+)\)")
BARE = re.compile(r"https?://[^\s<>\"'`\\)\]}]+")
#: Numbers have four digits until 2014, five since; before April 2007 another form.
ARXIV = re.compile(
    r"/(abs|pdf|html)/((0[7-9]|1[0-4])\d\d\.\d{4}|(1[5-9]|[2-9]\d)\d\d\.\d{5}"
    r"|[a-z-]+(\.[A-Z]{2})?/\d{7})(v\d+)?"
)
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks/README.md"]
TEXTS += [*CHAPTERS.glob("*.md"), *CHAPTERS.glob("[0-9]*.py")]


#: In the reference, what a docstring of torch or traitlets refers to is not shown.
INHERITED = re.compile(r"\w+\.\w+")


class Page(HTMLParser):
    """Where a page leads to, and the ids in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.ids = {""}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "base":  # of 404.html, which is served from any folder
            return
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.add(value)
            elif name in ("id", "name") and value:
                self.ids.add(value)

    def handle_data(self, data):
        self.links.update(IN_TEXT.findall(data))


@cache
def page(path: Path) -> Page:
    return Page(path.read_text("utf-8"))


def trouble(url: str) -> str | None:
    """What is wrong with an address on another host, or None."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018  ValueError where it is no number
    except ValueError as error:
        return str(error)
    if parts.scheme != "https":
        return "not https"
    if not re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", host):
        return "no name of a host"
    if re.search(r"\s", url) or url[-1] in ".,;:'":
        return "a space inside or a mark at its end"
    if host == "arxiv.org" and not ARXIV.fullmatch(parts.path):
        return "no number of arXiv"
    return None


def dead(links: set[str], folder: Path, ids: set[str]) -> dict[str, str]:
    """Of the links in a page in ``folder``, those that lead nowhere, and why."""
    found = {}
    for link in links:
        parts = urlsplit(link)
        if parts.scheme in ("data", "mailto"):
            continue
        if parts.scheme or parts.netloc:
            found[link] = trouble(link)
            continue
        target = (folder / unquote(parts.path)).resolve()
        anchor = unquote(parts.fragment)
        if target.is_dir() and parts.path:
            target /= "index.html"
        if parts.path and not target.is_file():
            found[link] = "no such file"
        elif target.suffix == ".html" or not parts.path:
            if not parts.path and INHERITED.fullmatch(anchor) and "api" in folder.parts:
                continue
            there = page(target).ids if parts.path else ids
            found[link] = None if anchor in there else "no such place there"
    return {link: why for link, why in found.items() if why}


def test_every_link_of_the_book_leads_somewhere(book):
    found = {}
    for path in book.folder.rglob("*.html"):
        here = page(path)
        if wrong := dead(here.links, path.parent, here.ids):
            found[path.name] = wrong
    assert found == {}


def test_figures_have_links_that_are_checked(book):
    pages = [book.folder / f"{name}.html" for name in chapter_names()]
    assert any(IN_TEXT.search(part) for path in pages for part in scripts(path))


def scripts(path: Path) -> list[str]:
    return re.findall(r'<script type="application/json">(.*?)</script>',
                      path.read_text("utf-8"))  # fmt: skip


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_addresses_in_the_sources_are_well_formed(path):
    text = path.read_text("utf-8")
    urls = {url.rstrip(".,;:") for url in BARE.findall(text)}
    urls |= {link for link in MARKDOWN.findall(text) if "://" in link}
    wrong = {url: why for url in urls if "@" not in url and (why := trouble(url))}
    assert wrong == {}


@pytest.mark.parametrize(
    "url",
    [
        "http://arxiv.org/abs/1701.06538",
        "https://arxiv.org/abs/1701.6538",
        "https://localhost/x",
        "https://a.org/b.",
        "https://a b.org/",
        "https://a.org:x/",
    ],
)
def test_a_bad_address_is_told(url):
    assert trouble(url)


def headings(name: str) -> set[str]:
    """Anchors that JupyterLab gives to the headings of a chapter."""
    cells = read_notebook(CHAPTERS / f"{name}.ipynb")["cells"]
    text = "\n".join(c["source"] for c in cells if c["cell_type"] == "markdown")
    return {h.strip().replace(" ", "-") for h in re.findall(r"^#+ (.+)$", text, re.M)}


def slug(heading: str) -> str:
    """The anchor that mdBook and GitHub make of a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return kept.strip().replace(" ", "-")


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_links_between_files_lead_to_a_file_and_a_heading(path):
    if path.suffix == ".py":
        cells = [c for c in source_cells(path) if c["cell_type"] == "markdown"]
        text = "\n\n".join(cell["source"] for cell in cells)
    else:
        text = path.read_text("utf-8")
    text = re.sub(r"```.*?```|^    .*$", "", text, flags=re.S | re.M)
    for link in MARKDOWN.findall(text):
        if "://" in link or link.startswith(("@", "api/")):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.is_file(), f"{path.name}: {link}: no such file"
        if not anchor:
            continue
        if target.suffix in (".ipynb", ".py"):
            assert unquote(anchor) in headings(target.stem), link
        else:
            there = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.M)
            assert anchor in map(slug, there), link
