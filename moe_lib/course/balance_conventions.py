"""The balance loss as papers and libraries write it, at balance and at its worst."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from moe_lib.course.algorithm_1 import gshard_loss, switch_table
from moe_lib.course.table import Table
from moe_lib.losses import cv_squared, importance_loss, load_balancing_loss
from moe_lib.routers import GShardRouter
from moe_lib.routing import Routing

ALPHA = 0.01  # Switch's coefficient
EXPERTS, TOKENS = 8, 64


def top_2_table(logits: Tensor) -> Routing:
    """Both choices of every token, nothing dropped."""
    router = GShardRouter(
        1, logits.shape[1], capacity_factor=None, second_expert_policy="all"
    )
    return router.route(logits)


def balanced_logits(num_experts: int = EXPERTS, num_tokens: int = TOKENS) -> Tensor:
    """Token s likes expert s mod E best and the next one second, ``[T, E]`` float64."""
    best = torch.arange(num_tokens) % num_experts
    likes = 2 * one_hot(best, num_experts)
    return (likes + one_hot((best + 1) % num_experts, num_experts)).double()


def collapsed_logits(num_experts: int = EXPERTS, num_tokens: int = TOKENS) -> Tensor:
    """Every token is sure of expert A, and has B for its second, float64."""
    row = torch.zeros(num_experts, dtype=torch.float64)
    row[0], row[1] = 80.0, 40.0
    return row.repeat(num_tokens, 1)


def first_shares(routing: Routing) -> Tensor:
    """c_e / S of a top-2 table without groups, ``[E]`` float64: first choices."""
    counts = routing.expert_index[::2].bincount(minlength=routing.num_experts)
    return counts.double() / routing.num_tokens


#: What it is -> its value for a top-2 table.
CONVENTIONS: dict[str, Callable[[Routing], Tensor]] = {
    "wanted: mean over e of (c_e / S)²": lambda r: first_shares(r).square().mean(),
    "GShard, line 13: mean over e of m_e c_e / S": lambda r: gshard_loss(r).mean(),
    "its code, and DeepSpeed: that times E²": (
        lambda r: r.num_experts**2 * gshard_loss(r).mean()
    ),
    f"Switch (2021): α E Σ f P, α = {ALPHA}": (
        lambda r: ALPHA * load_balancing_loss(switch_table(r))
    ),
    "here: E Σ f P, f of both choices, divided by k": load_balancing_loss,
    "Mixtral in transformers: f not divided by k": (
        lambda r: 2 * load_balancing_loss(r)
    ),
    "Shazeer (2017): CV² of the importance": importance_loss,
    "Shazeer (2017): CV² of the load, counted": (
        lambda r: cv_squared(r.demand_per_expert.double())
    ),
}


def _fraction(value: Tensor) -> Fraction:
    return Fraction(value.item()).limit_denominator(1000)


def conventions_table() -> Table:
    """A line for each convention; both values are computed, with E = 8 and k = 2."""
    even, worst = map(top_2_table, (balanced_logits(), collapsed_logits()))
    rows = [
        [name, *(str(_fraction(value(table))) for table in (even, worst))]
        for name, value in CONVENTIONS.items()
    ]
    head = ("balance loss", "at balance", "all tokens to one expert")
    return Table(head, rows, f"{len(rows)} conventions of the balance loss")
