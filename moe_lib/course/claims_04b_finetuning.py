"""What Fedus et al. (2021) say of fine-tuning, on three small tasks."""

from __future__ import annotations

from moe_lib.course.claims import Claim, with_origin
from moe_lib.course.columns import Columns
from moe_lib.course.evidence import Below
from moe_lib.course.measurements import stored
from moe_lib.course.measurements_04b_finetuning import over_tasks

PAPER = "Fedus et al. 2021"
UNIT = "% right, mean of three tasks"


def fine_tuning_claims(columns: Columns) -> list[Claim]:
    """Of accuracies on unseen texts: as `measure_fine_tuning` gives them."""
    right = {
        arm: 100 * share for arm, share in over_tasks(columns, "test accuracy").items()
    }

    def below(lower: str, higher: str) -> Below:
        return Below(right[lower], right[higher], UNIT, 1)

    return [
        Claim(
            "M4.downstream", "what a mixture gains in pre-training shows after"
            " fine-tuning (here: 16 experts against dense, dropout 0.1)",
            f"{PAPER}, table 4", "84.7 against 82.9 on GLUE",
            below("dense, d 0.1", "Switch, d 0.1"),
        ),
        Claim(
            "M4.expert-dropout", "dropout 0.4 inside the experts and 0.1 elsewhere is"
            " better than 0.1 everywhere", f"{PAPER}, table 4",
            "85.2 against 84.7 on GLUE",
            below("Switch, d 0.1", "Switch, d 0.1, experts 0.4"),
        ),
        Claim(
            "M4.more-dropout-hurts", "more dropout everywhere is worse (here: 0.3"
            " against 0.1)", f"{PAPER}, table 4", "83.9 against 84.7 on GLUE",
            below("Switch, d 0.3", "Switch, d 0.1"),
        ),
    ]  # fmt: skip


def stored_claims() -> list[Claim]:
    """From the stored measurement.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    result = stored("04b-finetuning")
    claims = fine_tuning_claims(result)
    return with_origin(result, claims)
