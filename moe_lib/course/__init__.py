"""What the chapters share: set-up, self-test, exercises, progress and claims."""

from moe_lib.course.claims import Claim
from moe_lib.course.claims_table import ClaimsTable
from moe_lib.course.exercises import exercise, hint, solution
from moe_lib.course.progress_table import progress
from moe_lib.course.selftest import self_test
from moe_lib.course.setup import Course, start

__all__ = [
    "Claim",
    "ClaimsTable",
    "Course",
    "exercise",
    "hint",
    "progress",
    "self_test",
    "solution",
    "start",
]
