"""What README does not say by hand: its table of chapters and its picture.

    python tools/readme.py [--check]

The table is made from the chapters' opening cells and the measured times, the picture
(light and dark) from the playground that chapter 0 holds, by the real widget. Every
address on GitHub becomes this project's. --check only says whether all is of today.
"""

from __future__ import annotations

import base64
import re
import sys

from catalogue import readme_table
from sources import CHAPTERS, ROOT, read_notebook, repository
from stills import DARK_PAGE, PAGE, draw, live_outputs
from tidy import PLAYGROUND

README = ROOT / "README.md"
BEGIN, END = "<!-- made by tools/readme.py -->\n", "\n<!-- end -->"


def with_table(text: str) -> str:
    """README with today's address and table; ValueError without the table's marks."""
    text = re.sub(r"https://github\.com/[\w-]+/[\w-]+", repository(), text)
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise ValueError(f"README.md lacks the lines {BEGIN.strip()} and {END.strip()}")
    return before + BEGIN + readme_table() + END + after


def pictures() -> dict[str, bytes]:
    """File name -> PNG of the playground of chapter 0."""
    notebook = read_notebook(CHAPTERS / "00_start_here.ipynb")
    outputs = [o["data"] for _, o in live_outputs(notebook)]
    data = next(d[PLAYGROUND] for d in outputs if PLAYGROUND in d)
    return {
        f"playground-{name}.png": base64.b64decode(
            draw({name: (PLAYGROUND, data)}, page)[name]
        )
        for name, page in (("light", PAGE), ("dark", DARK_PAGE))
    }


def main() -> int:
    old = README.read_text("utf-8")
    new = with_table(old)
    if "--check" in sys.argv[1:]:
        if old != new:
            print("README's table of chapters is old: run python tools/readme.py")
        return old != new
    README.write_text(new, "utf-8")
    for name, content in pictures().items():
        (ROOT / "book" / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
