"""How far the reader is: one row a chapter, one mark an exercise."""

from __future__ import annotations

from html import escape

from moe_lib.course import progress_file
from moe_lib.course.exercises import Challenge, Exercise, chapters, tasks
from moe_lib.course.table import html_table

Task = Exercise | Challenge

#: state -> the mark in plain text, and how much of it is filled in HTML
MARKS = {"passed": ("●", 100), "tried": ("◐", 50), "open": ("○", 0)}


class ProgressTable:
    """Marks by chapter as HTML; as text a line a chapter with a pass, or one line.

    What kept the progress from being read or written stands above them.
    """

    def __init__(self) -> None:
        entries, self.problem = progress_file.read()
        self.chapters = {
            chapter: [
                (item, entries.get(item.id, {"state": "open"})["state"])
                for item in tasks(chapter)
            ]
            for chapter in chapters()
        }

    def __repr__(self) -> str:
        states = [s for items in self.chapters.values() for _, s in items]
        passed = states.count("passed")
        count = f"{len(states)} in {len(self.chapters)} chapters"
        problem = [self.problem] if self.problem else []
        if not passed:
            return "\n".join([*problem, f"no exercise passed yet, of {count}"])
        rows = [*problem, f"exercises passed: {passed} of {count}"]
        for chapter, items in self.chapters.items():
            marks = " ".join(MARKS[state][0] for _, state in items)
            rows.append(f"  chapter {_number(chapter):<4}{marks}  {_sum(items)}")
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        rows = [
            (f"chapter {_number(chapter)}", " ".join(map(_mark, items)), _sum(items))
            for chapter, items in self.chapters.items()
        ]
        legend = " &nbsp; ".join(f"{_disc(state)} {state}" for state in MARKS)
        table = html_table(("", "exercises", "passed"), rows)
        problem = f"<p>{escape(self.problem)}</p>" if self.problem else ""
        return f"{problem}{table}<small>{legend}</small>"


def progress() -> ProgressTable:
    """The exercises passed and tried so far, from ``progress.json``."""
    return ProgressTable()


def _number(chapter: str) -> str:
    """ "01b" -> "1b"."""
    return chapter[:-1].lstrip("0") + chapter[-1]


def _sum(items: list[tuple[Task, str]]) -> str:
    return f"{sum(state == 'passed' for _, state in items)} of {len(items)}"


def _mark(pair: tuple[Task, str]) -> str:
    item, state = pair
    told = escape(f"{item.id} {item.title}: {state}")
    return f"<span role='img' aria-label='{told}' title='{told}'>{_disc(state)}</span>"


def _disc(state: str) -> str:
    """A circle in the text's colour: full, half full or empty."""
    filled = f"currentColor {MARKS[state][1]}%, transparent {MARKS[state][1]}%"
    return (
        "<span style='display: inline-block; width: .8em; height: .8em; margin: 0 .1em;"
        " border: 1.5px solid currentColor; border-radius: 50%; vertical-align: -.1em;"
        f" background: linear-gradient(90deg, {filled})'></span>"
    )
