"""What Zhou et al. (2022) report of expert choice, judged by small encoders.

The criteria were written down before the numbers were seen: on average over the tasks,
expert choice with c = 2 is to beat top-2, top-1 and hash; it is to reach top-2's last
loss in half its steps, in every run; more experts of a token are to be better, and half
an expert better than top-1; a cap of 3 is to cost at most `MARGIN`, one of 2 something.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from moe_lib.course.checkpoints import first_reached, last_bits
from moe_lib.course.claims import Claim, with_origin
from moe_lib.course.columns import Columns
from moe_lib.course.evidence import BITS, Below, Exact, Near, Share
from moe_lib.course.measurements import stored
from moe_lib.course.measurements_04b_finetuning import over_tasks
from moe_lib.course.measurements_05_pretraining import CHOICE, HALF, MARKS, TOP_2
from moe_lib.course.switch_runs import SwitchRun

PAPER = "Zhou et al. 2022"
RIGHT = "% right, mean of the tasks"
MARGIN = 1.0  # per cent of right answers: what counts as no cost of a cap
TOP_1 = "top-1 + loss"


def right_answers(columns: Columns) -> dict[str, Tensor]:
    """Arm -> ``[S]``: per cent of unseen texts that are told right, mean of tasks."""
    found = over_tasks(columns, "test accuracy")
    return {arm: 100 * share for arm, share in found.items()}


def by_task(columns: Columns) -> dict[str, dict[str, Tensor]]:
    """Arm -> task -> ``[S]``, per cent of unseen texts that are told right."""
    found: dict[str, dict[str, Tensor]] = {}
    for name in dict(columns):
        arm, *task, what = name.split(": ")
        if task and what == "test accuracy":
            found.setdefault(arm, {})[task[0]] = 100 * columns[name]
    return found


def steps_to_top_2(columns: Columns, arm: str) -> Tensor:
    """``[S]``: steps of an arm to the last bits of top-2; infinity for never."""
    bits = columns[f"{arm}: bits"]
    steps = torch.tensor(MARKS, dtype=bits.dtype).expand_as(bits)
    return first_reached(bits, last_bits(columns, TOP_2), steps)


def pretraining_claims(columns: Columns) -> list[Claim]:
    """As `measure_pretraining` gives the columns."""
    right = right_answers(columns)
    cap_2, cap_3 = right[f"{CHOICE}, cap 2"], right[f"{CHOICE}, cap 3"]
    none = f"{PAPER}, table 4"
    ahead = (
        ("top2", TOP_2, "table 2", "84.0 against 82.2 %", "top-2 of tokens"),
        ("top1", TOP_1, "table 2", "84.0 against 78.4 %", "top-1 of tokens"),
        ("hash", "hash", "table 4", "84.0 against 81.3 %", "experts by a hash"),
        ("dense", "dense", "table 3", "92.6 against 89.2 %", "a dense model"),
    )
    return [
        *(
            Claim(
                f"M5.tasks-{id}", f"on average over the tasks expert choice, c = 2, is"
                f" better than {text} (here: four tasks)", f"{PAPER}, {where}", said,
                Below(right[arm], right[CHOICE], RIGHT, 1),
            )
            for id, arm, where, said, text in ahead
        ),
        Claim(
            "M5.tasks-each", "but not on each task (here: runs in which top-1 is ahead"
            " on one at least)", f"{PAPER}, table 2",
            "128 experts: BoolQ, QNLI, QQP", Share(some_task_lost(columns)),
        ),
        Claim(
            "M5.cap-3", "at most 3 experts of a token cost nothing (here: at most"
            f" {MARGIN:g} per cent of the answers)", none, "84.0 against 84.0 %",
            Near(right[CHOICE], cap_3, RIGHT, 1, margin=MARGIN),
        ),
        Claim(
            "M5.cap-2", "at most 2 cost something", none, "83.2 against 84.0 %",
            Below(cap_2, right[CHOICE], RIGHT, 1),
        ),
        *training_claims(columns),
    ]  # fmt: skip


def training_claims(columns: Columns) -> list[Claim]:
    """On hidden bytes alone: steps, experts of a token, tokens that get none."""
    steps = steps_to_top_2(columns, CHOICE)
    figure, same = f"{PAPER}, figure 4", "here at the same arithmetic"
    pairs = (
        ("1", CHOICE, "expert choice 1", "better", f"c = 2 is better than 1 ({same})"),
        ("half", "expert choice 1", "expert choice 0.5", "better",
         f"c = 1 is better than 0.5 ({same})"),
        ("half-work", "expert choice 1", HALF, "better",
         "c = 1 is better than 0.5 (here as in the paper: 0.5 is half the arithmetic)"),
        ("half-top1", HALF, TOP_1, "still ahead",
         "c = 0.5 still beats top-1 (at half its arithmetic)"),
    )  # fmt: skip
    served = columns[f"{CHOICE}: served"]
    return [
        Claim(
            "M5.steps-half", "expert choice reaches top-2's last loss in at most half"
            " the steps", f"{PAPER}, figure 2", "less than half",
            Share(steps <= MARKS[-1] / 2),
        ),
        *(
            Claim(
                f"M5.factor-{id}", text, figure, said,
                Below(last_bits(columns, low), last_bits(columns, high), BITS, 3),
            )
            for id, low, high, said, text in pairs
        ),
        Claim(
            "M5.served-most", "most tokens get one or two experts (here: runs in which"
            " over half of held-out bytes do)", f"{PAPER}, figure 3", "the majority",
            Share(served[:, 1:3].sum(dim=1) > 0.5),
        ),
        Claim(
            "M5.served-none", "some tokens get no expert (here: runs with any)",
            "Gale et al. 2022, section 7", "stated", Share(served[:, 0] > 0),
        ),
    ]  # fmt: skip


def some_task_lost(columns: Columns) -> Tensor:
    """``[S]`` bool: runs in which top-1 is ahead of expert choice on some task."""
    found = by_task(columns)
    lost = [found[TOP_1][task] > found[CHOICE][task] for task in found[CHOICE]]
    return torch.stack(lost).any(dim=0)


def quick_claims(runs: Mapping[str, SwitchRun]) -> list[Claim]:
    """Of the chapter's own run: arm -> what `run_race` gives, with "expert choice".

    Only what no other machine's rounding can turn.
    """
    load = runs["expert choice"].more["load cv"]
    return [
        Claim(
            "M5.even", "all experts serve equally many tokens, without a loss for it"
            " (here: CV of the load other than 0, at any checkpoint of your run)",
            f"{PAPER}, section 3.2", "by construction",
            Exact(float((load != 0).sum()), load.numel(), "checkpoints"),
        ),
    ]  # fmt: skip


def stored_claims() -> list[Claim]:
    """From the stored measurement.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    result = stored("05-pretraining")
    return with_origin(result, pretraining_claims(result))
