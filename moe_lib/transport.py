"""The only data movement of a MoE layer: one gather out, one combine back.

`plan_dispatch` sorts the table's rows by expert once; `Gather` and `Combine` follow the
plan, with the backward of each written by hand. Sums over a token's experts are an
``embedding_bag``: gather, weight and add in one pass, in a fixed order, so that the
result is deterministic (several times faster than ``index_add`` on the CPU, too).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from moe_lib.routing import Routing
from moe_lib.sorting import stable_argsort


class DispatchPlan(NamedTuple):
    """Where each of N rows, sorted by expert, comes from and goes to.

    row: ``[N]`` the row of the routing table. token: ``[N]`` its token.
    tokens_per_expert: ``[E]``; rows past their sum were not kept (on the CPU there are
    none such; elsewhere N is A, since shapes cannot wait for the data).
    by_token: ``[N]`` the sorted rows, put in order of their tokens.
    token_start: ``[T]`` where each token's begin in ``by_token``.
    """

    row: Tensor
    token: Tensor
    tokens_per_expert: Tensor
    by_token: Tensor
    token_start: Tensor


def plan_dispatch(routing: Routing) -> DispatchPlan:
    """Sort the kept rows by expert, those of one expert in the table's order."""
    num_tokens, num_experts = routing.num_tokens, routing.num_experts
    counts = routing.tokens_per_expert
    expert = routing.expert_index.masked_fill(~routing.kept, num_experts)
    row = stable_argsort(expert, num_experts + 1)
    if row.device.type == "cpu" and not torch.compiler.is_compiling():
        row = row[: int(counts.sum())]
    token = routing.token_index.index_select(0, row)
    by_token = stable_argsort(token, num_tokens)
    per_token = torch.zeros(num_tokens, dtype=torch.int64, device=token.device)
    per_token.index_add_(0, token, torch.ones_like(token))
    return DispatchPlan(row, token, counts, by_token, per_token.cumsum(0) - per_token)


class Gather(torch.autograd.Function):
    """Tokens ``[T, D]`` -> rows ``[N, D]`` in the plan's order."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, plan: DispatchPlan) -> Tensor:
        ctx.save_for_backward(plan.by_token, plan.token_start)
        return x.index_select(0, plan.token)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        by_token, token_start = ctx.saved_tensors
        return F.embedding_bag(by_token, grad, token_start, mode="sum"), None


class Combine(torch.autograd.Function):
    """Rows ``[N, D]`` and the table's weights ``[A]`` -> tokens ``[T, D]``."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, combine_weights: Tensor, plan: DispatchPlan
    ) -> Tensor:
        weights = combine_weights.index_select(0, plan.row).to(rows.dtype)
        ctx.save_for_backward(rows, weights, plan.row, plan.token)
        ctx.table = combine_weights.shape, combine_weights.dtype
        return F.embedding_bag(
            plan.by_token,
            rows,
            plan.token_start,
            mode="sum",
            per_sample_weights=weights.index_select(0, plan.by_token),
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        rows, weights, row, token = ctx.saved_tensors
        shape, dtype = ctx.table
        grad_rows = grad.index_select(0, token)
        d_weights = torch.linalg.vecdot(rows, grad_rows).to(dtype)
        d_table = d_weights.new_zeros(shape).index_copy(0, row, d_weights)
        return grad_rows.mul_(weights.unsqueeze(1)), d_table, None
