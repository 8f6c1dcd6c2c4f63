"""Exercise 04b.2: an entry trained against the clock and put on the board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from moe_lib.course.checking import Verdict
from moe_lib.course.checking.calling import Outcome, attempt, not_written
from moe_lib.course.columns import Columns
from moe_lib.course.contest import Jury, recorded
from moe_lib.course.exercises_04b import LEADERBOARD
from moe_lib.course.leaderboard import (
    SECONDS,
    Entry,
    Refused,
    Result,
    baseline_step,
    train_entry,
)
from moe_lib.course.leaderboard_standings import Board, Standing, keep, kept
from moe_lib.course.measurements import stored
from moe_lib.course.measurements_04b_leaderboard import BASELINES
from moe_lib.data.domain_text import DomainText
from moe_lib.data.text import load_text

BUILDING = 20.0  # seconds that building a model may take
JURY = Jury(LEADERBOARD, BUILDING)


@dataclass(frozen=True, repr=False)
class Score:
    """The verdict on an entry, and the board with it."""

    verdict: Verdict
    board: Board

    def __repr__(self) -> str:
        return repr(self.verdict)

    def _repr_html_(self) -> str:
        return self.verdict._repr_html_() + self.board._repr_html_()


def leaderboard(columns: Columns | None = None) -> Board:
    """The stored entries of the course, and the reader's own.

    It prints what kept the latter from being read.

    Args:
        columns: as `measure_leaderboard` gives them; None: the stored ones.
    """
    columns = stored("04b-leaderboard") if columns is None else columns
    names = [n.removesuffix(": bits") for n in dict(columns) if n.endswith(": bits")]
    course = [Standing(name, _results(columns, name)) for name in names]
    results, problem = kept()
    if problem:
        print(problem)
    own = [Standing(name, (one,), True) for name, one in results.items()]
    return Board(sorted(course + own, key=lambda one: one.bits))


def score_entry(
    make_entry: Callable[[], Entry],
    *,
    name: str = "my entry",
    text: DomainText | None = None,
    seed: int = 0,
    seconds: float | None = None,
    columns: Columns | None = None,
) -> Score:
    """Train the reader's entry against the clock, judge it, put it on the board.

    Args:
        make_entry: builds a new `Entry`.
        name: on the board; the best result under each name is kept.
        text: the bytes to learn; None: `load_text`'s.
        seconds: of processor time; None: as many as make 60 where the board was
            measured, a quarter to four times as many.
        columns: as for `leaderboard`.
    """
    got = attempt(make_entry, (), BUILDING)
    if not_written(make_entry, got):
        return Score(JURY.not_written, leaderboard(columns))
    if got.error:
        return Score(JURY.refused(got, make_entry), leaderboard(columns))
    columns = stored("04b-leaderboard") if columns is None else columns
    text = load_text() if text is None else text
    if seconds is None:
        slower = baseline_step(text) / columns["step"].mean().item()
        seconds = SECONDS * min(max(slower, 0.25), 4.0)
    try:
        result = train_entry(make_entry, text, seed, seconds=seconds, label=name)
    except Refused as fault:
        got = Outcome(str(fault), None, ())
    except (Exception, KeyboardInterrupt) as error:  # the reader's code may do anything
        got = Outcome(None, error, ())
    else:
        verdict = replace(judge(result, columns), note=keep(name, result))
        return Score(recorded(verdict), leaderboard(columns))
    return Score(JURY.refused(got, make_entry), leaderboard(columns))


def judge(result: Result, columns: Columns) -> Verdict:
    """It passes if it is better than every run of the two plain entries."""
    best = min(columns[f"{name}: bits"].min().item() for name in BASELINES)
    told = f"{result.bits:.3f} bits per byte after {result.steps:,} steps"
    if result.bits < best:
        return JURY.passes(f"{told}; the plain entries' best run has {best:.3f}")
    return JURY.fails(f"{told}; to pass, get below {best:.3f}")


def _results(columns: Columns, name: str) -> tuple[Result, ...]:
    names = [field.name for field in fields(Result)]
    rows = zip(*(columns[f"{name}: {what}"].tolist() for what in names), strict=True)
    return tuple(Result(*row) for row in rows)
