"""Chapter 5's encoders as tables, beside what Zhou et al. (2022) report."""

from __future__ import annotations

from torch import Tensor

from moe_lib.course.checkpoints import last_bits
from moe_lib.course.claims_05_pretraining import by_task, right_answers, steps_to_top_2
from moe_lib.course.columns import Columns
from moe_lib.course.measurements_05_pretraining import ARMS, CHOICE, TOP_2
from moe_lib.course.scaling_tables import missing, spread
from moe_lib.course.table import Table

#: Arm -> mean of 11 tasks, %, in tables 2 and 4: 100M/64E; 100M/32E.
PAPER = {
    "top-1 + loss": ("78.4", "80.6"),
    TOP_2: ("82.2", "83.5"),
    "hash": ("81.3 ± 0.1", ""),
    CHOICE: ("84.0 ± 0.2", "85.0"),
    f"{CHOICE}, cap 2": ("83.2 ± 0.4", ""),
    f"{CHOICE}, cap 3": ("84.0 ± 0.4", ""),
}


def tasks_table(columns: Columns) -> Table:
    """Right answers on unseen texts, %, mean ± SD over the seeds, by arm and task.

    Args:
        columns: as `measure_pretraining` gives them.
    """
    found, average = by_task(columns), right_answers(columns)
    rows = [
        (arm, *(spread(right, 1) for right in found[arm].values()),
         spread(average[arm], 1), *PAPER.get(arm, ("", "")))
        for arm in ARMS
    ]  # fmt: skip
    head = ("router", *(f"{task}, %" for task in found[CHOICE]), "average, %",
            "paper's average of 11 tasks, %: 100M/64E", "100M/32E")  # fmt: skip
    return Table(head, rows, "right answers after fine-tuning, by router and task")


def steps_table(columns: Columns) -> Table:
    """Of each arm: bits at the end, steps to top-2's last bits, load, no expert.

    Args:
        columns: as `measure_pretraining` gives them.
    """
    rows = []
    for arm in ARMS:
        load, unserved = columns[f"{arm}: load cv"], columns[f"{arm}: unserved"]
        rows.append(
            (arm, spread(last_bits(columns, arm), 3),
             told(steps_to_top_2(columns, arm)), f"{load[:, -1].mean():.2f}",
             f"{100 * unserved[:, -1].mean():.1f}",
             "less than half of top-2's" if arm == CHOICE else "")
        )  # fmt: skip
    head = ("router", "bits per hidden byte", "steps to the last bits of top-2",
            "CV of the load", "tokens without expert, %", "paper: steps")  # fmt: skip
    return Table(head, rows, "bits, and steps to the same loss, by router")


def served_table(columns: Columns) -> Table:
    """How many experts held-out bytes get, % of them, mean over the seeds.

    Args:
        columns: as `measure_pretraining` gives them.
    """
    paper = f"paper, figure 3: {CHOICE}"
    rows = [(paper, "", "1 or 2: most", "", "23", "3")]
    for arm in [arm for arm in ARMS if "choice" in arm]:
        none, one, two, three, four, more = (
            100 * columns[f"{arm}: served"].mean(dim=0)
        ).tolist()
        shares = (none, one, two, three + four, more)
        rows.append((arm, *(f"{share:.1f}" for share in shares)))
    head = ("router", "no expert", "1", "2", "3 or 4", "more")
    return Table(head, rows, "experts of a token, by router, in per cent")


def told(steps: Tensor) -> str:
    """``[S]`` steps, infinity for what was never reached."""
    never = steps.isinf()
    return missing(never) if never.any() else spread(steps, 0)
