"""A table in a notebook: HTML for the reader, a stable line of plain text."""

from __future__ import annotations

import html
from collections.abc import Sequence


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
        def cells(values: Sequence[object], tag: str) -> str:
            return "".join(f"<{tag}>{html.escape(str(v))}</{tag}>" for v in values)

        body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in self.rows)
        head = f"<tr>{cells(self.head, 'th')}</tr>"
        return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"
