"""The stored claims of chapter 4; they are made in the modules named here."""

from __future__ import annotations

from moe_lib.course import (
    claims_04_capacity,
    claims_04_likes,
    claims_04_scaling,
)
from moe_lib.course.claims import Claim


def stored_claims() -> list[Claim]:
    """From the long measurements.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    return [
        *claims_04_scaling.stored_claims(),
        *claims_04_likes.likes_claims(),
        *claims_04_capacity.stored_claims(),
    ]
