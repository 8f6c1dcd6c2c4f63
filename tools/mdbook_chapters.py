"""mdBook preprocessor: puts the executed chapters in place of the listed files.

SUMMARY.md lists NN_name.ipynb. mdBook writes ``[context, book]`` as JSON to our
standard input and reads the changed book from our standard output, so nothing
else may be printed there.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path


def scoreboard(source: Path, assets: Path) -> str:
    from scoreboard import as_markdown, collect

    return as_markdown(collect(source))


def chapters(source: Path, assets: Path) -> str:
    from catalogue import book_list

    return book_list()


def playground(source: Path, assets: Path) -> str:
    """The playground of chapter 0, with its still."""
    from book_cells import rich
    from sources import read_notebook
    from tidy import PLAYGROUND

    cells = read_notebook(source / "00_start_here.ipynb")["cells"]
    outputs = (output for cell in cells for output in cell.get("outputs", []))
    return rich(next(o for o in outputs if PLAYGROUND in o.get("data", {})), assets)


def modules(source: Path, assets: Path) -> str:
    from api import as_markdown

    return as_markdown()


def exercises(source: Path, assets: Path) -> str:
    from teaching import exercises_table

    return exercises_table()


#: What stands in a page of plain Markdown -> what goes there.
PLACES = {
    "@SCOREBOARD@": scoreboard,
    "@CHAPTERS@": chapters,
    "@PLAYGROUND@": playground,
    "@MODULES@": modules,
    "@EXERCISES@": exercises,
}


def assets_folder(source: Path) -> Path:
    """A fresh folder that mdBook copies: plotly, our views, still pictures."""
    from stills import module_text, plotly_js
    from tidy import VIEWS

    assets = source / "assets"
    shutil.rmtree(assets, ignore_errors=True)
    assets.mkdir()
    shutil.copy(plotly_js(), assets)
    # A module cannot be loaded from a file:// page; a plain script with the
    # module's text in a string can.
    for name in VIEWS.values():
        code = json.dumps(module_text(name)).replace("</", "<\\/")
        text = f"(window.viewSource ??= {{}}).{name} = {code};"
        (assets / f"{name}_source.js").write_text(text, "utf-8")
    return assets


def fill(items: list, source: Path, assets: Path) -> None:
    """Replace the content of each chapter, in place; raises SystemExit when stale."""
    from book_cells import chapter, page
    from sources import is_stale, read_notebook

    for item in items:
        entry = item.get("Chapter") if isinstance(item, dict) else None
        if entry is None:
            continue
        path = Path(entry["path"] or "")
        if path.suffix == ".ipynb":
            name = path.stem
            if is_stale(name, source):
                sys.exit(f"{path} is older than {name}.py: run make notebooks")
            try:
                entry["content"] = chapter(read_notebook(source / path), name, assets)
            except ValueError as error:
                sys.exit(f"{path}: {error}")
            entry["path"] = f"{name}.md"
        else:
            text = page(entry["content"])
            for place in (place for place in PLACES if place in text):
                try:
                    text = text.replace(place, PLACES[place](source, assets))
                except ValueError as error:
                    sys.exit(str(error))
            entry["content"] = text
        fill(entry["sub_items"], source, assets)


def main() -> None:
    # The answer to "supports" may not depend on an import: a failure there would
    # make mdBook leave the chapters out without a word.
    if sys.argv[1:2] == ["supports"]:
        sys.exit(sys.argv[2] != "html")
    context, book = json.load(sys.stdin)
    source = Path(context["root"]) / context["config"]["book"].get("src", "chapters")
    fill(book["items"], source, assets_folder(source))
    json.dump(book, sys.stdout)


if __name__ == "__main__":
    main()
