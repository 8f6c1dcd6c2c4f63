"""The stored claims of chapter 5; they are made in the modules named here."""

from __future__ import annotations

from moe_lib.course import claims_05_dilemma, claims_05_pretraining
from moe_lib.course.claims import Claim


def stored_claims() -> list[Claim]:
    """From the long measurements.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    return [
        *claims_05_dilemma.stored_claims(),
        *claims_05_pretraining.stored_claims(),
    ]
