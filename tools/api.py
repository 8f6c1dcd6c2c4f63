"""The reference of moe_lib, made by pdoc from its docstrings.

    python tools/api.py FOLDER

``make book`` calls it after mdBook, which empties its folder. What `moe_lib.course`
holds for single chapters is left out; everything else that has a docstring is in.
"""

from __future__ import annotations

import ast
import pkgutil
import re
import sys
import warnings
from pathlib import Path

from sources import ROOT, repository

PACKAGE = ROOT / "moe_lib"
TEMPLATES = ROOT / "book" / "api"


def modules() -> list[str]:
    """Names of the modules and packages right below moe_lib, in order."""
    return sorted(m.name for m in pkgutil.iter_modules([str(PACKAGE)]))


def first_line(name: str) -> str:
    """Of the module's docstring; ValueError where it has none."""
    file = PACKAGE / f"{name}.py"
    file = file if file.exists() else PACKAGE / name / "__init__.py"
    text = ast.get_docstring(ast.parse(file.read_text("utf-8")))
    if not text:
        raise ValueError(f"{file.relative_to(ROOT)} has no docstring")
    return text.splitlines()[0]


def as_markdown() -> str:
    """A table for the book: each module, with a link to its page."""
    rows = [f"| [`{m}`](api/moe_lib/{m}.html) | {first_line(m)} |" for m in modules()]
    return "\n".join(["| moe_lib. | what it is |", "|---|---|", *rows])


def write(folder: Path) -> None:
    """All pages into ``folder``."""
    import pdoc.render

    sys.path.insert(0, str(ROOT))
    # pdoc cannot resolve a name that is imported for type checkers only; it shows it
    warnings.filterwarnings("ignore", "Error parsing type annotation")
    pdoc.render.configure(
        docformat="google",
        show_source=False,
        template_directory=TEMPLATES,
        favicon="data:,",  # none, and no request for it
        edit_url_map={"moe_lib": f"{repository()}/blob/main/moe_lib/"},
    )
    names = ("moe_lib", *(f"moe_lib.{name}" for name in modules()))
    pdoc.pdoc(*names, output_directory=folder)
    for page in folder.rglob("*.html"):
        # for screen readers: "Arguments" is no heading of level 6, a link has a name
        text = re.sub(r"<(/?)h6\b", r"<\1p", page.read_text("utf-8"))
        link = '<a class="headerlink"'
        page.write_text(text.replace(link, f'{link} aria-label="its address"'), "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
