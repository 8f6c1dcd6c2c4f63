"""What is said of capacity factors and of the balancing loss's coefficient."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from moe_lib.course import measurements_04_capacity as long
from moe_lib.course.claims import Claim, with_origin
from moe_lib.course.columns import Columns
from moe_lib.course.evidence import BITS, Below, Exact, Near, Share
from moe_lib.course.measurements import stored
from moe_lib.course.measurements_04_capacity import FACTORS, LIMITED

SWITCH, ST_MOE = "Fedus et al. 2021", "Zoph et al. 2022"
MARGIN = 0.02  # bits per byte, about one per cent: what counts as little


def bits_at(columns: Columns, trained: float, judged: float) -> Tensor:
    """``[S]``: of models trained with one factor and evaluated with another."""
    return columns[f"{trained:g}: bits"][:, FACTORS.index(judged)]


def eval_exceptions(columns: Columns) -> tuple[int, int]:
    """How often the same model drops more with more room in evaluation, of how many
    pairs of neighbouring factors."""
    steps = torch.stack([columns[f"{f:g}: eval dropped"].diff(dim=1) for f in FACTORS])
    return int((steps > 0).sum()), steps.numel()


def capacity_claims(columns: Columns) -> list[Claim]:
    """On training and evaluation factors; differences are taken seed by seed."""
    dropped = {f: columns[f"{f:g}: training dropped"] for f in FACTORS}
    never_rises = torch.stack(
        [dropped[b] <= dropped[a] for a, b in pairwise(FACTORS)]
    ).all(dim=0)
    falls = never_rises & (dropped[FACTORS[-1]] < dropped[FACTORS[0]])
    none = torch.zeros_like(dropped[1])
    lost = bits_at(columns, 1, 2) - bits_at(columns, 2, 2)
    seconds = columns["1: seconds"] / columns["2: seconds"]
    table_8 = f"{ST_MOE}, table 8"
    more = bits_at(columns, 0.75, 0.75) - bits_at(columns, 1.25, 1.25)
    worst, cases = eval_exceptions(columns)
    return [
        Claim(
            "M4.drops", "the larger the capacity factor in training, the fewer tokens"
            " are dropped (here: from each of six factors to the next, 0.5 to 4)",
            f"{SWITCH}, section 2.2", "stated", Share(falls),
        ),
        Claim(
            "M4.drops-eval", "the same model never drops more with more room",
            f"{SWITCH}, section 2.2", "stated",
            Exact(float(worst), cases, "pairs of factors"),
        ),
        *(
            Claim(
                f"M4.drops-small-{f:g}", "few tokens are dropped (here: per cent of the"
                f" last 100 batches at factor {f:g}, against one)",
                f"{SWITCH}, section 2.2", "typically under 1 %",
                Below(100 * dropped[f], none + 1, "%", 2),
            )
            for f in (1.25, 2)
        ),
        Claim(
            "M4.capacity-quality", "Switch does well with little room (here: bits lost"
            f" by training at 1 rather than 2, both evaluated at 2; {MARGIN:g} counts"
            " as none)", f"{SWITCH}, table 1", "\u22121.561 against \u22121.554",
            Near(none, lost, BITS, 3, margin=MARGIN),
        ),
        Claim(
            "M4.capacity-time", "less room is faster (here: one thread's time at 1 over"
            " that at 2; this layer computes no empty place)", f"{SWITCH},"
            " table 1", "1000 against 860 examples/s",
            Below(seconds, none + 1, "of the time", 3),
        ),
        Claim(
            "M4.capacity-more", "more room helps (here: bits saved by 1.25 against 0.75"
            " in training and evaluation, against none)", table_8,
            "\u22121.378 against \u22121.428", Below(none, more, BITS, 3),
        ),
        *(
            Claim(
                f"M4.eval-room-{f:g}", "more room in evaluation than in training helps"
                f" (here: bits saved by 2 for models trained at {f:g}, against none)",
                table_8, said,
                Below(none, bits_at(columns, f, f) - bits_at(columns, f, 2), BITS, 4),
            )
            for f, said in (
                (1, "\u22121.384 against \u22121.397"), (1.25, "advised")
            )
        ),
    ]  # fmt: skip


def swap_cost(columns: Columns, arm: str) -> Tensor:
    """``[S]``: bits lost if every token goes to the router's second choice."""
    return columns[f"{arm}: second best"] - columns[f"{arm}: bits"]


def balance_claims(columns: Columns) -> list[Claim]:
    """On the coefficient of the balancing loss; nothing is dropped but where said."""
    bits = {arm: columns[f"{arm}: bits"] for arm in ("0", "0.01", "1")}
    busiest = {arm: columns[f"{arm}: max_over_mean"] for arm in bits}
    alike = {arm: columns[f"{arm}: similarity"] for arm in bits}
    limited = {w: 100 * columns[f"{w} {LIMITED}: dropped"] for w in ("0", "0.01")}
    lost = bits["0.01"] - bits["0"]
    alpha = f"{SWITCH}, section 2.2"
    return [
        Claim(
            "M4.balance-loss", "the balancing loss evens the load (here: the busiest"
            " expert's over the mean, coefficient 0.01 against 0)", alpha, "stated",
            Below(busiest["0.01"], busiest["0"], "times", 2),
        ),
        Claim(
            "M4.balance-drops", "so fewer tokens are dropped (here: per cent in"
            " training at factor 1.25, coefficient 0.01 against 0)", alpha, "stated",
            Below(limited["0.01"], limited["0"], "%", 1),
        ),
        Claim(
            "M4.balance-free", "and 0.01 does not get in the way of the main loss"
            f" (here: bits lost against 0, no more than {MARGIN:g})", alpha, "stated",
            Below(lost, torch.full_like(lost, MARGIN), BITS, 3),
        ),
        Claim(
            "M4.balance-cost", "too large a coefficient costs quality (here: 0.01"
            " against 1)", alpha, "0.01 chosen of 0.1 to 0.00001",
            Below(bits["0.01"], bits["1"], BITS, 3),
        ),
        Claim(
            "M4.alike", "too large a coefficient makes experts alike (here: mean cosine"
            " of their answers, 0.01 against 1)", "teaching texts", "stated",
            Below(alike["0.01"], alike["1"], "", 3),
        ),
        Claim(
            "M4.alike-swap", "and the wrong expert then costs less (here: bits lost"
            " with the router's second choice, 1 against 0.01; but the weight that it"
            " keeps is smaller too)", "teaching texts", "stated",
            Below(swap_cost(columns, "1"), swap_cost(columns, "0.01"), BITS, 4),
        ),
    ]  # fmt: skip


def stored_claims() -> list[Claim]:
    """From the two long measurements.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    capacity, pressure = stored(long.CAPACITY), stored(long.BALANCE)
    return [
        *with_origin(capacity, capacity_claims(capacity)),
        *with_origin(pressure, balance_claims(pressure)),
    ]
