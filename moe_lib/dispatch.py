"""How tokens travel to their experts and back: from the obvious loop to one sort.

Every way takes tokens ``x`` ``[T, D]``, their `Routing` and `Experts`, and gives
``[T, D]``: for each token the weighted sum of what its experts made of it, 0 where
none kept it. They differ in speed alone, and tests hold them equal to `reference_moe`.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lib.devices import multiplies_bfloat16
from moe_lib.experts import Experts
from moe_lib.feed_forward_padded import buffer_lengths
from moe_lib.routing import Routing
from moe_lib.sorting import stable_argsort
from moe_lib.transport import Combine, Gather, plan_dispatch

# Rows of an expert below which a loop over experts is not the fastest on a CPU.
FEW_ROWS = 32  # one core
FEW_ROWS_FOR_CORES = 512  # several cores, which cannot share a small product well


def reference_moe(x: Tensor, routing: Routing, experts: Experts) -> Tensor:
    """Expert by expert, in the dtype of ``x``: the truth for every other way."""
    y = torch.zeros_like(x)
    for e in range(routing.num_experts):
        rows = (routing.expert_index == e) & routing.kept
        tokens = routing.token_index[rows]
        weights = routing.combine_weights[rows].to(x.dtype)
        y = y.index_add(0, tokens, weights[:, None] * experts.one(e, x[tokens]))
    return y


def one_hot_moe(x: Tensor, routing: Routing, experts: Experts) -> Tensor:
    """The historical second step: masks and einsums (GShard, 2020, Algorithm 2).

    Two masks ``[G, S, E, C]`` over groups, tokens, experts and slots copy the tokens to
    the experts' buffers and back. It made a TPU happy, and is quadratic in the tokens
    of a group. Without a capacity C is S.
    """
    num_tokens, num_experts = routing.num_tokens, routing.num_experts
    size = routing.group_size or num_tokens
    slots = routing.capacity or size
    kept = routing.kept
    cells = routing.token_index * num_experts + routing.expert_index
    cells = cells * slots + torch.where(kept, routing.position_in_expert, 0)
    weights = routing.combine_weights.to(x.dtype) * kept
    empty = x.new_zeros(num_tokens * num_experts * slots)
    shape = (num_tokens // size, size, num_experts, slots)
    combine = empty.index_add(0, cells, weights).view(shape)
    dispatch = empty.index_add(0, cells, kept.to(x.dtype)).view(shape)
    tokens = x.view(-1, size, x.shape[1])  # [G, S, D]
    buffers = torch.einsum("gsec,gsd->egcd", dispatch, tokens)
    y = experts.batched(buffers.flatten(1, 2)).view(buffers.shape)
    return torch.einsum("gsec,egcd->gsd", combine, y).reshape(x.shape)


def blocks_moe(x: Tensor, routing: Routing, experts: Experts) -> Tensor:
    """Each expert's rows cut into blocks of equal length, one ``bmm`` over all blocks.

    In plain torch, with all shapes known before the data: any device, any dtype, no
    synchronisation, and ``torch.compile(fullgraph=True)``. The price is padding, less
    than a block for each expert, and a copy of the expert's weights for each block. A
    block is as long as the mean load, so there are at most 2 E of them. (MegaBlocks,
    Gale et al. 2022, has the idea, and kernels that need no copy.)
    """
    num_rows, num_experts = routing.token_index.numel(), routing.num_experts
    length = max(8, -(-num_rows // num_experts))
    num_blocks = num_rows // length + num_experts
    counts = routing.tokens_per_expert
    blocks = (counts + length - 1).div(length, rounding_mode="floor")
    ends = blocks.cumsum(0)  # [E]: the block after each expert's last

    # Slot of each table row: its rank among its expert's, after the expert's first
    # block; rows that were not kept share one slot more, which is cut off.
    expert = routing.expert_index.masked_fill(~routing.kept, num_experts)
    order = stable_argsort(expert, num_experts + 1)
    expert = expert.index_select(0, order)
    first_row = F.pad(counts.cumsum(0), (1, 0))
    first_slot = F.pad(ends, (1, 0)) * length
    rank = torch.arange(num_rows, device=x.device) - first_row.index_select(0, expert)
    slot = first_slot.index_select(0, expert) + rank
    slot = torch.where(expert < num_experts, slot, num_blocks * length)

    # What stands in each slot: token 0 with weight 0 where nothing does.
    token = routing.token_index.new_zeros(num_blocks * length + 1)
    token = token.index_copy(0, slot, routing.token_index.index_select(0, order))[:-1]
    weight = routing.combine_weights.index_select(0, order).to(x.dtype)
    weight = x.new_zeros(num_blocks * length + 1).index_add(0, slot, weight)[:-1]
    which = torch.arange(num_blocks, device=x.device)
    which = torch.searchsorted(ends, which, right=True).clamp(max=num_experts - 1)
    y = experts.batched(x.index_select(0, token).view(num_blocks, length, -1), which)
    y = y.flatten(0, 1) * weight.unsqueeze(1)
    return torch.zeros_like(y[: len(x)]).index_add(0, token, y)


def sorted_moe(x: Tensor, routing: Routing, experts: nn.Module, **how: str) -> Tensor:
    """One sort, one gather, the experts on sorted rows, one combine."""
    plan = plan_dispatch(routing)
    rows = Gather.apply(x, plan)
    rows = experts(rows, plan.tokens_per_expert, **how)
    return Combine.apply(rows, routing.combine_weights, plan)


BACKENDS = {
    "loop": reference_moe,
    "one_hot": one_hot_moe,
    "blocks": blocks_moe,
    "grouped": partial(sorted_moe, how="grouped"),
    "padded": partial(sorted_moe, how="padded"),
    "segments": partial(sorted_moe, how="segments"),
}


def choose_backend(x: Tensor, routing: Routing, experts: Experts) -> str:
    """The fastest way that this device and dtype can take.

    ===================================================  ==========
    compiling                                            "blocks"
    CPU, many rows an expert                             "segments"
    CPU, few rows: on several cores, loads not too far   "padded"
    apart
    CPU, few rows: on one core, where torch has it       "grouped"
    (not in float64, nor in odd widths)
    CUDA (and meta): bf16 from sm80 on                   "grouped"
    CUDA (and meta): anything else                       "blocks"
    ===================================================  ==========
    """
    if torch.compiler.is_compiling():
        return "blocks"
    dtype = experts.compute_dtype(x)
    widths = experts.d_model, experts.d_ff
    aligned = all(width * dtype.itemsize % 16 == 0 for width in widths)
    if x.device.type != "cpu":
        fast = x.device.type != "cuda" or multiplies_bfloat16(x.device)
        fast = fast and dtype == torch.bfloat16 and aligned
        return "grouped" if fast else "blocks"
    rows, num_experts = routing.token_index.numel(), routing.num_experts
    if torch.get_num_threads() > 1:
        slots = int(buffer_lengths(routing.tokens_per_expert).sum())
        few = rows < FEW_ROWS_FOR_CORES * num_experts
        return "padded" if few and slots <= 1.5 * rows else "segments"
    few = rows < FEW_ROWS * num_experts
    return "grouped" if few and aligned and dtype != torch.float64 else "segments"
