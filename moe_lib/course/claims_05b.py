"""The stored claims of chapter 5b; they are made in the modules named here."""

from __future__ import annotations

from moe_lib.course import claims_05b_leak, claims_05b_race
from moe_lib.course.claims import Claim


def stored_claims() -> list[Claim]:
    """From the long measurements.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    return [*claims_05b_leak.stored_claims(), *claims_05b_race.stored_claims()]
