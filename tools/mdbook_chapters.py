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

#: Stands in scoreboard.md where the claims of all chapters go.
SCOREBOARD = "@SCOREBOARD@"


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
    from book_cells import chapter
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
        elif SCOREBOARD in entry["content"]:
            from scoreboard import as_markdown, collect

            try:
                board = as_markdown(collect(source))
            except ValueError as error:
                sys.exit(str(error))
            entry["content"] = entry["content"].replace(SCOREBOARD, board)
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
