"""Building the book: quick, without network, and never from a stale notebook."""

from __future__ import annotations

import shutil

from building import ROOT, mdbook

from sources import chapter_names


def test_it_builds_in_15_seconds_and_has_every_chapter(book):
    assert book.seconds < 15
    for name in chapter_names():
        page = (book.folder / f"{name}.html").read_text("utf-8")
        assert "find_spec" not in page, "the set-up cell is shown"
        assert "@COLAB@" not in page and "open-in-colab.svg" not in page
        assert (book.folder / f"{name}.ipynb").exists()


def test_a_stale_notebook_stops_the_build(tmp_path):
    for part in ("book.toml", "pyproject.toml"):
        shutil.copy(ROOT / part, tmp_path)
    for part in ("tools", "book", "moe_lib"):
        (tmp_path / part).symlink_to(ROOT / part)
    chapters = tmp_path / "chapters"
    shutil.copytree(ROOT / "chapters", chapters)
    name = chapter_names()[0]
    with (chapters / f"{name}.py").open("a") as source:
        source.write("\n# %%\nnew = 1\n")
    done = mdbook("build", "-d", tmp_path / "out", cwd=tmp_path)
    assert done.returncode != 0
    assert f"{name}.ipynb is older than {name}.py: run make notebooks" in done.stderr
