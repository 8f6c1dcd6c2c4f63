"""A table in a notebook: HTML for the reader, a stable line of plain text."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

NUMBER = re.compile(r"[-+<~\d][\d.,\s±%e<-]*$")
NO_BREAK = str.maketrans({" ": "\u00a0"})


class Table:
    """Rows under a head. ``text`` is its plain-text form: no measured numbers there,
    since text outputs are compared between machines."""

    def __init__(
        self, head: Sequence[str], rows: Sequence[Sequence[object]], text: str
    ) -> None:
        self.head, self.rows, self.text = head, rows, text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        rows = [[html.escape(str(value)) for value in row] for row in self.rows]
        return html_table([html.escape(name) for name in self.head], rows)


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table of escaped cells: columns of numbers to the right, words left.

    Numbers do not break over lines, not at their ``±`` either. An empty head is a
    plain cell: a screen reader would read it out with each cell below.
    """
    columns = list(zip(*rows, strict=True))
    sides = ["right" if all(map(NUMBER.match, c)) else "left" for c in columns]

    def line(cells: Sequence[str], tag: str) -> str:
        sided = zip(cells, sides or ["left"] * len(head), strict=True)
        return "".join(
            f"<{tag if cell else 'td'} style='text-align:{side}'>{unbroken(cell)}"
            f"</{tag if cell else 'td'}>"
            for cell, side in sided
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    top = f"<tr>{line(head, 'th')}</tr>"
    return f"<table><thead>{top}</thead><tbody>{body}</tbody></table>"


def unbroken(cell: str) -> str:
    """The cell with no-break spaces around each ``±``."""
    return re.sub(r"\d ± \d", lambda m: m[0].translate(NO_BREAK), cell)
