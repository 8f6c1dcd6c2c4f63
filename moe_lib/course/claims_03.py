"""What GShard says of routing in groups, to be judged in chapter 3."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from moe_lib.course import claims_03_lookup, claims_03_translation
from moe_lib.course.algorithm_1 import gshard_loss, loss_off, random_cases
from moe_lib.course.balance_conventions import first_shares, top_2_table
from moe_lib.course.claims import Claim
from moe_lib.course.evidence import Below, Exact, Near
from moe_lib.course.overflow import Curve
from moe_lib.course.second_expert import ALL, FATES, LEAVING, Lottery
from moe_lib.dispatch import one_hot_moe, sorted_moe
from moe_lib.experts import Experts
from moe_lib.routers.slots import SlotRule

PAPER = "Lepikhin et al. 2020"


def algorithm_claims(wrong: Mapping[str, Tensor], cases: int = 1000) -> list[Claim]:
    """On what `algorithm_1.disagreements` counted, and on identities."""
    return [
        Claim(
            "M3.algorithm", "Algorithm 1 (here: a loop, cumulative sums and the library"
            " agree on weights, slots, kept and loss)", f"{PAPER}, algorithm 1",
            "defined", Exact(float(sum(w.sum() for w in wrong.values())), cases),
        ),
        Claim(
            "M3.overflow", "a token whose experts are both full has an output of 0: it"
            " travels by the residual", f"{PAPER}, section 2.2", "by construction",
            Exact(overflow_output(60), 60, "layers"),
        ),
        Claim(
            "M3.capacity", "the places of an expert are O(N / E), however many groups"
            " there are (here: 2 N / E)", f"{PAPER}, section 2.2", "2 N / (G E) each",
            Exact(*capacity_off()),
        ),
        Claim(
            "M3.einsums", "masks and einsums dispatch and combine (here: as one sort"
            " does)", f"{PAPER}, algorithm 2", "defined",
            Exact(einsums_off(60), 60, "layers", 1e-12),
        ),
    ]  # fmt: skip


def loss_claims() -> list[Claim]:
    """On the auxiliary loss."""
    return [
        Claim(
            "M3.no-gradient", "the mean square of the counts has no gradient, its"
            " product with the mean gates has (here: as derived by hand)",
            f"{PAPER}, section 2.2", "stated", Exact(gradient_off(60), 60, "tables",
            1e-12),
        ),
        Claim(
            "M3.loss", "E² l_aux is the loss of Switch", f"{PAPER}, line 13", "1 / E²"
            " at balance", Exact(loss_off(100), 100, tolerance=1e-12),
        ),
    ]  # fmt: skip


def drop_claims(
    by_factor: Sequence[Curve], by_balance: Sequence[Curve], lottery: Lottery
) -> list[Claim]:
    """On curves over the capacity factor and over balance, and on the lottery."""
    one, many = by_factor[0], by_factor[-1]
    at = one.x.tolist().index(1.0)
    ratio = many.measured[at] / many.expected[at]
    even, steep = 100 * by_balance[0].measured[[0, -1]]
    second = FATES.index("second_late")
    late = {name: 100 * rows[second] for name, rows in lottery.measured.items()}
    return [
        Claim(
            "M3.groups", f"groups make drops worse (here: {many.name} against"
            f" {one.name}, capacity factor 1)", f"{PAPER}, section 2.2", "not stated",
            Below(100 * one.measured[at], 100 * many.measured[at], "%", 1),
        ),
        Claim(
            "M3.binomial", "the drops of balanced gates are a binomial's excess (here:"
            f" measured over expected, {many.name})", "probability", "1",
            Near(ratio, torch.ones_like(ratio), digits=3, margin=0.05),
        ),
        Claim(
            "M3.imbalance", "uneven gates make drops worse (here: the busiest expert"
            f" asked {by_balance[0].x[-1]:.1f} times its share, capacity factor 1)",
            f"{PAPER}, section 2.2", "stated", Below(even, steep, "%", 1),
        ),
        Claim(
            "M3.lottery", "random routing conserves capacity (here: second choices too"
            " late, of those sent, when the declined leave the queue)",
            f"{PAPER}, section 2.2", "stated", Below(late[LEAVING], late[ALL], "%", 1),
        ),
        Claim(
            "M3.printed", "as printed, the declined are counted all the same (here:"
            " no choice gets another place than without the lottery)",
            f"{PAPER}, line 22", "defined", Exact(float(lottery.moved), lottery.rows,
            "choices"),
        ),
    ]  # fmt: skip


def stored_claims() -> list[Claim]:
    """On the memory for names and on translation, from the long measurements.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    return [
        *claims_03_lookup.stored_claims(),
        *claims_03_translation.stored_claims(),
    ]


def overflow_output(cases: int) -> float:
    """The largest output of a token that no expert takes."""
    worst = 0.0
    for case in random_cases(cases):
        table = case.routing
        experts, x = _layer(table.num_experts, table.num_tokens)
        alone = (table.dense() == 0).all(dim=1)
        outputs = sorted_moe(x, table, experts)[alone]
        worst = max([worst, *outputs.abs().flatten().tolist()])
    return worst


def einsums_off(cases: int) -> float:
    """The largest difference of Algorithm 2's output from that of one sort."""
    worst = 0.0
    for case in random_cases(cases):
        experts, x = _layer(case.routing.num_experts, case.routing.num_tokens)
        outputs = (way(x, case.routing, experts) for way in (one_hot_moe, sorted_moe))
        worst = max(worst, torch.dist(*outputs, p=torch.inf).item())
    return worst


def capacity_off() -> tuple[float, int, str]:
    """Shapes in which an expert's places in all groups are not 2 N / E; how many."""
    shapes = [
        (2**n, 2**e, 2**g)
        for n in range(8, 13) for e in range(1, 5) for g in range(n - e)
    ]  # fmt: skip
    wrong = 0
    for tokens, experts, groups in shapes:
        rule = SlotRule(1.0, group_size=tokens // groups)
        each = rule.capacity(tokens, experts, 2, training=True)
        wrong += groups * each != 2 * tokens // experts
    return float(wrong), len(shapes), "shapes"


def gradient_off(cases: int) -> float:
    """How far l_aux's gradient is from p (v - p v) / S, with v = c / (S E).

    Infinite where the mean square of the counts has one.
    """
    worst = 0.0
    for case in random_cases(cases):
        table = top_2_table(case.routing.router_logits.clone().requires_grad_())
        shares, p = first_shares(table), table.router_probs
        if shares.square().mean().requires_grad:
            return math.inf
        v = shares / table.num_experts
        by_hand = p * (v - p @ v[:, None]) / table.num_tokens
        loss = gshard_loss(table).sum()
        (slope,) = torch.autograd.grad(loss, table.router_logits)
        worst = max(worst, (slope - by_hand).abs().max().item())
    return worst


def _layer(num_experts: int, num_tokens: int) -> tuple[Experts, Tensor]:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(num_tokens)
        experts = Experts(num_experts, 4, 3).double()
        return experts, torch.randn(num_tokens, 4, dtype=torch.float64)
