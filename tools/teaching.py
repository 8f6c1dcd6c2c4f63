"""The table of exercises in the page for teachers.

    python tools/teaching.py

prints it. It is made from the exercises themselves; the book's build puts it into the
page.
"""

from __future__ import annotations

from moe_lib.course.checking import SECONDS
from moe_lib.course.exercises import Exercise, chapters, tasks

#: Minutes to plan for an exercise by its level: the authors' guess, nobody was timed.
MINUTES = {"warm-up": 5, "": 10, "pencil first": 20}
HEAD = "| id | exercise | level | lines | what is checked | plan for |"
RULE = "|---|---|---|---|---|---|"


def exercises_table() -> str:
    """Markdown: a row for each task that the progress file counts, in order."""
    rows = [row(task) for chapter in chapters() for task in tasks(chapter)]
    limit = (
        f"Each call of a student's function may take {SECONDS:g} seconds. Minutes are"
        " our guess by the level. A task judged by a cell of its own takes as long as"
        " you give it: half an hour for a symptom of the repair lab or a placement, an"
        " evening for a contest."
    )
    return "\n".join([HEAD, RULE, *rows, "", limit])


def row(task: object) -> str:
    """One task as a line of the table."""
    if not isinstance(task, Exercise):
        how = "by the cell below it, on what you have built"
        return f"| {task.id} | {task.title} | open | | {how} | |"
    how = f"{len(task.cases)} cases; {len(task.mistakes)} known mistakes are named"
    minutes = f"{MINUTES[task.level]} min"
    cells = (task.id, task.title, task.level, task.lines, how, minutes)
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    print(exercises_table())
