"""How an exercise is checked: call, compare, and tell the reader what was found."""

from moe_lib.course.checking.check import SECONDS, check
from moe_lib.course.checking.verdict import (
    FAILS,
    NOT_WRITTEN,
    PASSES,
    Help,
    Verdict,
    show,
)

__all__ = [
    "FAILS",
    "NOT_WRITTEN",
    "PASSES",
    "SECONDS",
    "Help",
    "Verdict",
    "check",
    "show",
]
