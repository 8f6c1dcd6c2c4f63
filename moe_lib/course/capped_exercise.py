"""Exercise 05.2, the capped assignment; its mistakes are in `mistakes_05_capped`."""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.course import mistakes_05_capped as mistakes
from moe_lib.course.capped_programme import fill
from moe_lib.course.cases import shares
from moe_lib.course.exercises import Exercise


def capped_assignment(
    scores: Tensor, slots: int, cap: int, weight: float, rounds: int
) -> Tensor:
    energy = scores / weight  # [E, T]
    column = torch.zeros_like(energy[:1])  # [1, T]
    for _ in range(rounds):
        row = fill(energy + column, slots)  # [E, 1]
        column = fill((energy + row).T, cap).T.clamp(max=0)
    row = fill(energy + column, slots)
    return (energy + row + column).clamp(max=0).exp()


def _cases():
    draw = torch.Generator().manual_seed(2022)
    for tokens, experts, slots, cap, weight, rounds in (
        (3, 2, 1, 1, 0.5, 1), (4, 2, 2, 1, 0.2, 2), (4, 3, 2, 2, 0.1, 3),
        (6, 3, 2, 1, 0.1, 5), (5, 4, 2, 2, 0.05, 4), (8, 4, 3, 2, 0.02, 10),
        (12, 4, 3, 2, 0.1, 1),
    ):  # fmt: skip
        scores = shares(draw, tokens, experts).T.contiguous()
        yield scores, slots, cap, weight, rounds


CAPPED = [
    Exercise(
        "05.2",
        title="the capped assignment",
        statement=(
            "The best plan is $A=\\min(1,e^{S^T/\\lambda+u+v})$, with a shift $u$ of"
            " each expert's row and $v\\le0$ of each token's column. Find them in"
            " turn: start from $v=0$; in each of `rounds` rounds set $u$ so that the"
            " rows sum to `slots`, then $v$ so that columns above `cap` come down to"
            " it and the others are left alone; at last set $u$ once more. Give $A$"
            " [E, T] for `scores` $=S^T$ [E, T] and `weight` $=\\lambda$."
            " `fill(energy, total)` gives the shift [R, 1] with which each row of"
            " $\\min(1,e^{\\cdot})$ sums to `total`."
        ),
        lines=7,
        hint=(
            "fill works on rows: for the columns turn the table with .T, and turn the"
            " answer back. Each shift is computed anew from the scores and the other"
            " shift alone. A column that has room would be shifted up: clamp(max=0)."
        ),
        solution=capped_assignment,
        cases=_cases(),
        mistakes={
            "columns are scaled up as well as down: the cap is at most b, not"
            " exactly b, so v is 0 at most": mistakes.scaled_up_as_well,
            "scores times lambda: a small lambda makes A sharp, so divide": (
                mistakes.times_the_weight
            ),
            "lambda is missing: scores / weight": mistakes.without_weight,
            "the bound 1 is forgotten: clamp the exponent at 0": mistakes.not_bounded,
            "the columns have the last word, so the rows do not sum to k: set u once"
            " more": mistakes.columns_last,
            "v is computed from a table with the old v in it: compute it anew, from the"
            " scores and u alone": mistakes.taken_twice,
            "that is a single round": mistakes.one_round,
            "there is no cap in it: only the rows were filled": mistakes.no_cap,
            "the columns come first there: rows first, from v = 0": (
                mistakes.columns_first
            ),
            "that is the logarithm of A": mistakes.logarithm,
        },
    ),
]  # fmt: skip
