"""What the contests share: how an entry passes, fails, is refused, is recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from moe_lib.course import progress_file
from moe_lib.course.checking import FAILS, NOT_WRITTEN, PASSES, SECONDS, Verdict
from moe_lib.course.checking.calling import Outcome
from moe_lib.course.checking.readers_line import readers_line
from moe_lib.course.exercises import Challenge


@dataclass(frozen=True)
class Jury:
    """It judges the entries of one challenge, which has neither hint nor solution.

    Args:
        seconds: that the reader's code may take where it is only called.
    """

    challenge: Challenge
    seconds: float = SECONDS

    @property
    def not_written(self) -> Verdict:
        return self._verdict(NOT_WRITTEN, self.challenge.title)

    def passes(self, message: str) -> Verdict:
        return self._verdict(PASSES, message)

    def fails(
        self,
        message: str,
        error: BaseException | None = None,
        own: Callable | None = None,
    ) -> Verdict:
        """With the line where an error came up, if ``own``, the reader's, has one."""
        known = error is not None and own is not None
        line = readers_line(error, own) if known else None
        return replace(self._verdict(FAILS, message), line=line)

    def refused(self, got: Outcome, own: Callable | None) -> Verdict:
        """Recorded.

        Args:
            got: its error; where there is none, its value says what is wrong.
            own: as in `fails`.
        """
        problem = got.value if got.error is None else got.problem(self.seconds)
        return recorded(self.fails(f"refused: {problem}", got.error, own))

    def _verdict(self, state: str, message: str) -> Verdict:
        return Verdict(self.challenge.id, state, message, helps=False)


def recorded(verdict: Verdict) -> Verdict:
    """Kept in the progress file; a note says what prevented that."""
    notes = (verdict.note, progress_file.record(verdict))
    return replace(verdict, note=" ".join(filter(None, notes)))
