"""The stored claims of chapter 4b; they are made in the modules named here."""

from __future__ import annotations

from moe_lib.course import (
    claims_04b_finetuning,
    claims_04b_stability,
    claims_04b_start,
)
from moe_lib.course.claims import Claim


def stored_claims() -> list[Claim]:
    """From the long measurements.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    return [
        *claims_04b_stability.stored_claims(),
        *claims_04b_start.stored_claims(),
        *claims_04b_finetuning.stored_claims(),
    ]
