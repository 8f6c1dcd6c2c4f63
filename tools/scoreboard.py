"""The scoreboard: every claim of the course, read from the executed notebooks.

    python tools/scoreboard.py [FOLDER]

prints it; the book has it as a page. Nothing on it is typed: each verdict is computed
again from the values that the chapter's notebook holds.
"""

from __future__ import annotations

import sys
from collections import Counter
from html import escape
from pathlib import Path
from typing import NamedTuple

from moe_lib.course.claims import Claim
from moe_lib.course.claims_table import ClaimsTable, mark
from moe_lib.course.evidence import CITED, EXACT, FAILS, HOLDS, NOISE, VERDICTS
from sources import CHAPTERS, chapter_names, read_notebook
from tidy import CLAIMS

MEANING = {
    EXACT: "an identity, asserted in all cases.",
    HOLDS: "true here; of two means, the gap is over two standard errors.",
    NOISE: "these runs cannot tell.",
    FAILS: "not so here; of two means, the opposite by over two standard errors.",
    CITED: "out of reach at this scale, for the reason given.",
}


class Chapter(NamedTuple):
    name: str
    title: str
    tables: list[ClaimsTable]

    @property
    def claims(self) -> list[Claim]:
        return [claim for table in self.tables for claim in table.best()]

    @property
    def counts(self) -> Counter[str]:
        return Counter(claim.verdict for claim in self.claims)


def table_of(output: dict) -> ClaimsTable:
    """The table of claims that an output holds, with verdicts computed afresh.

    Raises:
        ValueError: its values or its verdicts were edited by hand.
    """
    table = ClaimsTable.from_json(output["data"][CLAIMS])
    shown = "".join(output["data"].get("text/plain", "")).splitlines()
    computed = repr(table).splitlines()
    for claim, line, own in zip(table.claims, computed, shown, strict=False):
        if line != own:
            raise ValueError(
                f"claim {claim.id} is shown as {own!r} but its values say {line!r}"
            )
    if len(shown) != len(computed):
        raise ValueError(f"{len(computed)} claims, but {len(shown)} verdicts shown")
    return table


def title_of(notebook: dict) -> str:
    """The first heading."""
    text = "".join(c["source"] for c in notebook["cells"][:1])
    return text.splitlines()[0].lstrip("# ")


def collect(folder: Path = CHAPTERS) -> list[Chapter]:
    """The chapters that make claims.

    Raises:
        ValueError: one line with the notebook, the claim and what is wrong.
    """
    chapters, owner = [], {}
    for name in chapter_names(folder):
        try:
            notebook = read_notebook(folder / f"{name}.ipynb")
            outputs = [o for cell in notebook["cells"] for o in cell.get("outputs", [])]
            tables = [table_of(o) for o in outputs if CLAIMS in o.get("data", {})]
            chapter = Chapter(name, title_of(notebook), tables)
            for claim in chapter.claims:
                if (first := owner.setdefault(claim.id, name)) != name:
                    raise ValueError(f"claim {claim.id} is in {first} already")
        except ValueError as problem:
            raise ValueError(
                f"{name}.ipynb: {problem}: run make notebooks ONLY={name}"
            ) from None
        if tables:
            chapters.append(chapter)
    return chapters


def total(chapters: list[Chapter]) -> Counter[str]:
    return sum((chapter.counts for chapter in chapters), Counter())


def as_markdown(chapters: list[Chapter]) -> str:
    """The page's content: counts, then each chapter's claims."""
    head = "".join(f"<th>{mark(v)}{v}</th>" for v in VERDICTS)
    rows = [
        (f'<a href="{c.name}.html">{escape(c.title)}</a>', c.counts) for c in chapters
    ]
    rows.append(("<b>all</b>", total(chapters)))
    body = "".join(
        f"<tr><td>{label}</td>"
        + "".join(f"<td>{n[v]}</td>" for v in VERDICTS)
        + "</tr>"
        for label, n in rows
    )
    parts = [
        "\n".join(f"- {mark(v)}**{v}**: {MEANING[v]}" for v in VERDICTS),
        "A claim with stored runs, which are longer than a chapter may take, is counted"
        " by their verdict.",
        '<div class="output counts"><table><thead><tr><th>chapter</th>'
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>",
    ]
    for chapter in chapters:
        parts.append(f"## {chapter.title}")
        parts += [f'<div class="output">{t.as_html()}</div>' for t in chapter.tables]
    return "\n\n".join(parts)


def as_text(chapters: list[Chapter]) -> str:
    """The same for a terminal."""
    lines = []
    for chapter in chapters:
        lines.append(f"\n{chapter.title}\n")
        for claim in chapter.claims:
            lines.append(f"  {claim.id}: {claim.verdict}")
            lines.append(f"    {claim.text}")
            lines.append(f"    paper: {claim.paper} ({claim.source})")
            here = f"{claim.evidence.here}; {claim.evidence.detail}".strip("; ")
            lines.append(f"    here:  {here}")
            if claim.origin:
                lines.append(f"    from:  {claim.origin}")
    counts = total(chapters)
    lines.append("\n" + ", ".join(f"{counts[v]} {v}" for v in VERDICTS))
    return "\n".join(lines).lstrip("\n")


if __name__ == "__main__":
    try:
        print(as_text(collect(Path(*sys.argv[1:2] or [CHAPTERS]))))
    except ValueError as problem:
        sys.exit(str(problem))
