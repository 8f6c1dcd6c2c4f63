"""Where the chapters are, and what stands in them: shared by the other tools."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = ROOT / "chapters"

#: Stands beside the notebooks: a badge from Colab's host would be a request to it.
BADGE = "open-in-colab.svg"


def repository() -> str:
    """Public address of the course, written once: in pyproject.toml."""
    return address("Repository")


def address(name: str) -> str:
    """One of the addresses in pyproject.toml, such as "Documentation"."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return project["urls"][name].rstrip("/")


def colab_url(name: str) -> str:
    """Address at which Colab opens the chapter ``name`` from the repository."""
    path = repository().removeprefix("https://github.com/")
    return f"https://colab.research.google.com/github/{path}/blob/main/chapters/{name}.ipynb"


def chapter_names(folder: Path = CHAPTERS) -> list[str]:
    """Names of all chapters, in order, without suffix."""
    return sorted(p.stem for p in folder.glob("[0-9]*.py"))


def filled(source: str, name: str) -> str:
    """Put addresses and statements in place of the placeholders of a .py source.

    They are @COLAB@, @REPOSITORY@ and @EXERCISE 01.2@. ValueError for an exercise
    that there is not.
    """
    badge = f"[![Open in Colab]({BADGE})]({colab_url(name)})"
    text = source.replace("@COLAB@", badge).replace("@REPOSITORY@", repository())
    return re.sub(r"@EXERCISE ([^@\n]+)@", lambda m: statement(m[1], name), text)


def statement(id: str, name: str) -> str:
    """What exercise ``id`` asks for, as the chapter ``name`` shows it."""
    from moe_lib.course.exercises import find  # imports torch: only where needed

    try:
        return find(id).markdown()
    except ValueError as error:
        raise ValueError(f"{name}.py: {error}") from None


def source_cells(path: Path) -> list[dict]:
    """Cells of a py:percent file: ``cell_type``, ``source`` (filled in), ``tags``."""
    import jupytext  # slow to import, and not needed by all tools

    notebook = jupytext.reads(path.read_text("utf-8"), fmt="py:percent")
    return [
        {
            "cell_type": cell.cell_type,
            "source": filled(cell.source, path.stem),
            "tags": list(cell.metadata.get("tags", [])),
        }
        for cell in notebook.cells
    ]


def with_ids(cells: list[dict]) -> list[dict]:
    """Add an ``id`` made of type and source: unchanged cells keep theirs."""
    seen: dict[str, int] = {}
    for cell in cells:
        text = f"{cell['cell_type']}\n{cell['source']}"
        digest = hashlib.sha1(text.encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell["id"] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    return cells


def read_notebook(path: Path) -> dict:
    """A stored notebook as plain JSON, each source joined to one string."""
    notebook = json.loads(path.read_text("utf-8"))
    for cell in notebook["cells"]:
        if isinstance(cell["source"], list):
            cell["source"] = "".join(cell["source"])
    return notebook


def is_stale(name: str, folder: Path = CHAPTERS) -> bool:
    """True when the stored notebook was not made from today's .py."""
    stored = folder / f"{name}.ipynb"
    if not stored.exists():
        return True
    old = [
        (c["cell_type"], c["source"], c["metadata"].get("tags", []))
        for c in read_notebook(stored)["cells"]
    ]
    new = [
        (c["cell_type"], c["source"], c["tags"])
        for c in source_cells(folder / f"{name}.py")
    ]
    return old != new
