"""What the papers say of one router against another, judged by the long race."""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.course.checkpoints import last_bits
from moe_lib.course.claims import Claim, with_origin
from moe_lib.course.columns import Columns
from moe_lib.course.deepseek_order import SOURCE, order_claims
from moe_lib.course.evidence import BITS, Below, Exact
from moe_lib.course.measurements import stored
from moe_lib.course.measurements_05b_race import CAUSAL, MASKED

PAPER = "Zhou et al. 2022"
SPARSE = ("GShard", "Switch", "hash", "Mixtral top-2")  # none sees the future
HONEST = "expert choice: step by step"


def honest_bits(columns: Columns) -> dict[str, Tensor]:
    """Router -> ``[S]``, of the causal race; expert choice told step by step."""
    names = dict(columns)
    arms = [name.removesuffix(": bits") for name in names if name.endswith(": bits")]
    found = {arm: last_bits(columns, arm) for arm in arms}
    return found | {"expert choice": columns[HONEST]}


def masked_claims(columns: Columns) -> list[Claim]:
    """On hidden bytes, where an expert may look at the whole text."""
    bits = {arm: last_bits(columns, arm) for arm in (*SPARSE, "expert choice", "dense")}
    load = columns["expert choice: load cv"]
    pairs = (
        ("M5.race-top2", "expert choice", "GShard", "table 2", "84.0 against 82.2 %",
         "expert choice learns more than top-2 of tokens"),
        ("M5.race-top1", "expert choice", "Switch", "table 2", "84.0 against 78.4 %",
         "and more than top-1"),
        ("M5.race-hash", "expert choice", "hash", "table 4", "84.0 against 81.3 %",
         "and more than experts by a fixed hash"),
        ("M5.race-dense", "expert choice", "dense", "table 3", "92.6 against 89.2 %",
         "and more than a dense model of the same arithmetic"),
    )  # fmt: skip
    return [
        Claim(
            "M5.race-balance", "expert choice needs no loss to fill all experts alike"
            " (here: CV of the load other than 0, at any time of the race)",
            f"{PAPER}, section 3.2", "by construction",
            Exact(float((load != 0).sum()), load.numel(), "times"),
        ),
        *(
            Claim(
                id, f"{text} (here: bits per hidden byte; the paper's are accuracies)",
                f"{PAPER}, {where}", said, Below(bits[lower], bits[higher], BITS, 3),
            )
            for id, lower, higher, where, said, text in pairs
        ),
    ]  # fmt: skip


def causal_claims(columns: Columns) -> list[Claim]:
    """On the next byte, where expert choice sees what it must not."""
    bits = honest_bits(columns)
    told = bits["expert choice"]
    gap = told - last_bits(columns, "expert choice")  # of each model with itself
    worst = torch.stack([bits[arm] for arm in SPARSE]).amax(dim=0)
    return [
        Claim(
            "M5.race-leak", "choosing among all tokens uses the future (here: bits that"
            " the same model loses when it is told step by step, against none)",
            f"{PAPER}, section 6", "stated",
            Below(torch.zeros_like(gap), gap, BITS, 4),
        ),
        Claim(
            "M5.race-honest", "told step by step, expert choice is behind top-2 of"
            " tokens (here: Mixtral's)", "not in the papers", "–",
            Below(bits["Mixtral top-2"], told, BITS, 3),
        ),
        Claim(
            "M6.order-sparse", "at one arithmetic every sparse router beats the dense"
            " model (here: the worst of four)", SOURCE, "1.867 to 1.932 against 2.060",
            Below(worst, bits["dense"], BITS, 3),
        ),
        *order_claims(bits),
    ]  # fmt: skip


def stored_claims() -> list[Claim]:
    """From both long races.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    masked, causal = stored(MASKED), stored(CAUSAL)
    return [
        *with_origin(causal, causal_claims(dict(causal))),
        *with_origin(masked, masked_claims(dict(masked))),
    ]
