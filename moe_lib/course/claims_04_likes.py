"""What trained experts follow, judged by the stored measurement "04-likes"."""

from __future__ import annotations

from moe_lib.course.claims import Claim
from moe_lib.course.evidence import Below
from moe_lib.course.information import GIVEN
from moe_lib.course.measurements import stored
from moe_lib.course.measurements_04_likes import LIKES

PAPER = "Zoph et al. 2022, section 7"


def likes_claims() -> list[Claim]:
    """On the same networks before and after training.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    result = stored(LIKES)
    before, after = (
        {name: column[:, when] for name, column in dict(result).items()}
        for when in (0, 1)
    )
    domain, byte = (after[f"bits, {given}"] for given in GIVEN)
    letter = "bits, current byte"
    one, three = after["foretold, current byte"], after["foretold, last 3 bytes"]
    return [
        Claim(
            "M4.bytes-not-domains", "experts specialise in tokens rather than in the"
            " subject or language of a text (here: what an expert tells of the domain,"
            " the byte known, and of the byte, the domain known)", PAPER,
            "encoder: tokens; not languages", Below(domain, byte, "bits", 2),
            result.origin,
        ),
        Claim(
            "M4.bytes-by-training", "experts specialise in tokens by training (here:"
            " what an expert tells of the byte, before and after)", PAPER, "shown",
            Below(before[letter], after[letter], "bits", 2), result.origin,
        ),
        Claim(
            "M4.bytes-in-context", "the same token can have other experts elsewhere"
            " (here: experts foretold from the byte, and from the last three)", PAPER,
            "not stated", Below(100 * one, 100 * three, "%", 1), result.origin,
        ),
    ]  # fmt: skip
