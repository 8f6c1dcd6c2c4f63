"""A notebook as a file: its metadata, its text, and what may not stand in it."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import nbformat

from sources import ROOT
from tidy import CLAIMS, PLOTLY, VIEWS

MAX_BYTES = 1_500_000
ONE_LINE = {*VIEWS, PLOTLY, CLAIMS}
METADATA = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}


class ChapterError(Exception):
    """A chapter that cannot become a notebook; the message is one line or a log."""


def as_text(notebook: dict) -> str:
    """The file's text: nbformat's, but data of figures and claims on one line each.

    Indented, every number of a figure would take a line, and the file twice the
    room.
    """
    notebook = copy.deepcopy(nbformat.from_dict(notebook))
    lines = {}
    outputs = [o for cell in notebook["cells"] for o in cell.get("outputs", [])]
    for data in (output["data"] for output in outputs if "data" in output):
        for mime in data.keys() & ONE_LINE:
            token = f"@DATA-{len(lines)}@"
            lines[f'"{token}"'] = json.dumps(
                data[mime], separators=(",", ":"), sort_keys=True, ensure_ascii=False
            )
            data[mime] = token
    text = nbformat.writes(notebook) + "\n"
    return re.sub(r'"@DATA-\d+@"', lambda match: lines[match[0]], text)


def write(notebook: dict, path: Path) -> str:
    """Write atomically; the file's size in words. Raises ChapterError."""
    text = as_text(notebook)
    size = len(text.encode())
    if size > MAX_BYTES:
        raise ChapterError(
            f"{path.name} would be {size / 1e6:.2f} MB, more than "
            f"{MAX_BYTES / 1e6:.1f}: store fewer frames or points"
        )
    if str(ROOT) in json.dumps(json.loads(text)["cells"]):
        raise ChapterError(f"{path.name} would tell this machine's path {ROOT}")
    draft = path.with_suffix(".ipynb.new")
    try:
        draft.write_text(text, "utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return f"{size / 1000:.0f} kB"
