"""Expert FFNs as batched products of a few experts, for CPUs of several cores.

Cores share a small product badly, and with `Segments` there is only one at a time.
Here a few experts at a time are multiplied together, each core busy with its own; for
that their rows stand in buffers as long as the longest of them. The price is that
padding, and a copy of the rows into the buffers and back.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from moe_lib.activations import activate, activate_backward


class Padded(torch.autograd.Function):
    """A few experts at a time: ``bmm`` on buffers of equal length. CPU, any dtype.

    Arguments as `Segments`, without the last.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        w_in: Tensor,
        w_out: Tensor,
        w_gate: Tensor | None,
        mask: Tensor | None,
        tokens_per_expert: Tensor,
        activation: str,
    ) -> Tensor:
        lengths = buffer_lengths(tokens_per_expert)
        skip = lengths.cumsum(0) - lengths
        skip -= tokens_per_expert.cumsum(0) - tokens_per_expert
        slot = skip.repeat_interleave(tokens_per_expert)
        slot += torch.arange(len(slot), device=slot.device)  # without the tail
        num_slots = int(lengths.sum())
        ctx.activation, ctx.rows, ctx.parts = activation, len(x), _parts(lengths)
        x, mask = (_to_slots(v, slot, num_slots) for v in (x, mask))
        h = x.new_empty(num_slots, w_in.shape[2])
        gate = None if w_gate is None else torch.empty_like(h)
        y = torch.empty_like(x)
        for e, part in ctx.parts:
            xs, ys, hs, gs, ms = _buffers(part, x, y, h, gate, mask)
            torch.bmm(xs, w_in[e], out=hs)
            if gs is not None:
                torch.bmm(xs, w_gate[e], out=gs)
            torch.bmm(activate(activation, hs, gs, ms), w_out[e], out=ys)
        ctx.save_for_backward(x, w_in, w_out, w_gate, mask, h, gate, slot)
        return _from_slots(y, slot, ctx.rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, w_in, w_out, w_gate, mask, h, gate, slot = ctx.saved_tensors
        grad = _to_slots(grad, slot, len(x))
        dx, d_in, d_out = (torch.empty_like(v) for v in (x, w_in, w_out))
        d_gate = None if w_gate is None else torch.empty_like(w_gate)
        for e, part in ctx.parts:
            xs, dxs, ys = _buffers(part, x, dx, grad)
            hidden = _buffers(part, h, gate, mask)
            da = torch.bmm(ys, w_out[e].transpose(1, 2))
            a, dh, dg = activate_backward(ctx.activation, da, *hidden)
            torch.bmm(a.transpose(1, 2), ys, out=d_out[e])
            torch.bmm(xs.transpose(1, 2), dh, out=d_in[e])
            torch.bmm(dh, w_in[e].transpose(1, 2), out=dxs)
            if dg is not None:
                torch.bmm(xs.transpose(1, 2), dg, out=d_gate[e])
                dxs.baddbmm_(dg, w_gate[e].transpose(1, 2))
        dx = _from_slots(dx, slot, ctx.rows)
        return dx, d_in, d_out, d_gate, None, None, None


def buffer_lengths(tokens_per_expert: Tensor) -> Tensor:
    """``[E]``, slots of each expert: the largest load among those that go together."""
    num_experts, few = len(tokens_per_expert), experts_at_once()
    groups = F.pad(tokens_per_expert, (0, -num_experts % few)).view(-1, few)
    return groups.amax(dim=1).repeat_interleave(few)[:num_experts]


def experts_at_once() -> int:
    """Two for each core: one alone would leave cores waiting at the end."""
    return 2 * torch.get_num_threads()


class _Part(NamedTuple):
    """The slots of experts that go together, and the shape of their buffers."""

    slots: slice
    shape: tuple[int, int]


def _parts(lengths: Tensor) -> list[tuple[slice, _Part]]:
    sizes, few = lengths.tolist(), experts_at_once()
    starts = [*accumulate(sizes, initial=0)]
    parts = []
    for first in range(0, len(sizes), few):
        last = min(first + few, len(sizes))
        slots = slice(starts[first], starts[last])
        parts.append((slice(first, last), _Part(slots, (last - first, sizes[first]))))
    return parts


def _buffers(part: _Part, *values: Tensor | None) -> tuple[Tensor | None, ...]:
    """The part's slots as ``[experts, length, width]``."""
    return tuple(
        None if v is None else v[part.slots].view(*part.shape, v.shape[1])
        for v in values
    )


def _to_slots(rows: Tensor | None, slot: Tensor, num_slots: int) -> Tensor | None:
    if rows is None:
        return None
    slots = rows.new_zeros(num_slots, rows.shape[1])
    return slots.index_copy_(0, slot, rows[: len(slot)])


def _from_slots(slots: Tensor, slot: Tensor, num_rows: int) -> Tensor:
    rows = slots.index_select(0, slot)
    return F.pad(rows, (0, 0, 0, num_rows - len(rows)))
