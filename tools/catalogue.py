"""What each chapter says of itself in its opening cell, for README and the book.

**The question?**

*Paper:* ... · *Reading:* 30 minutes · *Running:* ... · *Builds on:* [chapter 3](...)
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sources import (
    CHAPTERS,
    ROOT,
    address,
    chapter_names,
    colab_url,
    source_cells,
)

#: Written by `python tools/twice.py`.
TIMES = ROOT / "book" / "times.json"
#: Seconds that the whole course and one chapter may take, on two cores.
LIMITS = {"course": 12 * 60, "chapter": 90}
#: In a table nobody reads a full citation.
PAPERS = {
    "00_start_here": "",
    "01_adaptive_mixtures": "Jacobs et al. 1991",
    "01b_from_one_gate_to_a_layer": "Jordan and Jacobs 1994; Eigen et al. 2013",
    "02_outrageously_large": "Shazeer et al. 2017",
    "02b_what_experts_cost": "Shazeer et al. 2017",
    "03_gshard": "Lepikhin et al. 2020",
    "03b_experts_on_other_machines": "Lepikhin et al. 2020",
    "04_switch": "Fedus et al. 2021",
    "04b_keeping_one_expert_in_line": "Fedus et al. 2021; Zoph et al. 2022",
    "05_expert_choice": "Zhou et al. 2022",
    "05b_the_race": "Zhou et al. 2022; Raposo et al. 2024; Dai et al. 2024",
}


class Entry(NamedTuple):
    """One chapter: ``number`` "1b", ``title`` without number and years."""

    name: str
    number: str
    title: str
    question: str
    paper: str
    reading: str
    builds_on: tuple[str, ...]
    seconds: float


@cache
def catalogue(folder: Path = CHAPTERS) -> list[Entry]:
    """All chapters in order; ValueError names the chapter that lacks something."""
    return [entry(folder, name) for name in chapter_names(folder)]


def entry(folder: Path, name: str) -> Entry:
    text = source_cells(folder / f"{name}.py")[0]["source"]
    found = {
        "heading": re.search(r"^# (\w+) · (.+)", text),
        "question": re.search(r"\*\*(.+?)\*\*", text, re.DOTALL),
        "reading": re.search(r"\*Reading:\*\s+(.+?) ·", text, re.DOTALL),
    }
    for part, match in found.items():
        if match is None:
            raise ValueError(f"{name}.py: its first cell has no {part}")
    for part, known in (("PAPERS", PAPERS), (str(TIMES), times()["seconds"])):
        if name not in known:
            raise ValueError(f"{name} is missing in {part}")
    heading = found["heading"]
    return Entry(
        name=name,
        number=heading[1],
        title=re.sub(r" \([\d, -]+\)$", "", heading[2]),
        question=" ".join(found["question"][1].split()),
        paper=PAPERS[name],
        reading=" ".join(found["reading"][1].split()),
        builds_on=tuple(re.findall(r"\((\w+)\.ipynb\)", text)),
        seconds=times()["seconds"][name],
    )


@cache
def times() -> dict:
    """``{"machine", "date", "torch", "seconds": {chapter: seconds}}``, as measured."""
    return json.loads(TIMES.read_text("utf-8"))


def duration(seconds: float) -> str:
    """In steps of five seconds: more would be noise."""
    return f"{max(5, 5 * round(seconds / 5))} s"


def readme_table() -> str:
    """Chapters as Markdown for README: question, paper, time, Colab, book."""
    badge = "![Open in Colab](chapters/open-in-colab.svg)"
    rows = [
        f"| {c.number} | [{c.title}](chapters/{c.name}.ipynb) | {c.question}"
        f" | {c.paper} | {duration(c.seconds)} | [{badge}]({colab_url(c.name)})"
        f" | [page]({book_url()}{c.name}.html) |"
        for c in catalogue()
    ]
    head = "| | chapter | the question | paper | runs in | Colab | book |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *rows])


def book_list() -> str:
    """Chapters as a list for the book: what to know before, times."""
    numbers = {c.name: c.number for c in catalogue()}
    return "\n".join(
        f"- **[{c.number} · {c.title}]({c.name}.md)**<br>{c.question}<br>"
        + " · ".join(
            [
                *([f"*{c.paper}*"] if c.paper else []),
                f"after {', '.join(numbers[b] for b in c.builds_on) or 'some PyTorch'}",
                f"reading {c.reading}",
                f"running {duration(c.seconds)}",
                f"[Colab]({colab_url(c.name)})",
            ]
        )
        for c in catalogue()
    )


def book_url() -> str:
    """Public address of the book, with a slash at its end."""
    return address("Documentation") + "/"
