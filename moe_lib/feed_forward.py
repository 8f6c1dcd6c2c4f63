"""The arithmetic of expert FFNs on rows sorted by expert, backward written by hand.

Ways to the same numbers. `Segments` takes one expert after the other, so that its
hidden rows stay in the cache: any dtype, but Python must know the counts, which on a
GPU would mean waiting for it. `Grouped` is torch's own grouped product: nothing to wait
for, and on CUDA a fast kernel for bf16. A third is `Padded`, for CPUs of several cores
(`moe_lib.feed_forward_padded`).

By hand, because autograd would keep hidden buffers that can be made again, and write
each of them once more.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from moe_lib.activations import activate, activate_backward


class Segments(torch.autograd.Function):
    """One expert after the other: ``mm`` on its rows. CPU, any dtype.

    Arguments of `apply` (the same for `Grouped`): rows ``[N, D]``; w_in ``[E, D, F]``;
    w_out ``[E, F, D]``; w_gate like w_in, or None; dropout mask ``[N, F]`` with its
    scale in it, or None; tokens_per_expert ``[E]`` int64; the activation's name.
    Rows past the last expert's get 0. And for `Segments` alone: whether backward will
    come; if not, all experts write their hidden rows into the same memory.
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
        keep: bool,
    ) -> Tensor:
        ctx.activation, ctx.sizes = activation, tokens_per_expert.tolist()
        rows = len(x) if keep else max(ctx.sizes)
        h = x.new_empty(rows, w_in.shape[2])  # [N, F]
        gate = None if w_gate is None else torch.empty_like(h)
        y = torch.empty_like(x)
        y[sum(ctx.sizes) :] = 0
        for e, part in enumerate(_parts(ctx.sizes)):
            hidden = _rows(part if keep else slice(part.stop - part.start), h, gate)
            torch.mm(x[part], w_in[e], out=hidden[0])
            if gate is not None:
                torch.mm(x[part], w_gate[e], out=hidden[1])
            a = activate(activation, *hidden, *_rows(part, mask))
            torch.mm(a, w_out[e], out=y[part])
        ctx.save_for_backward(x, w_in, w_out, w_gate, mask, h, gate)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, w_in, w_out, w_gate, mask, h, gate = ctx.saved_tensors
        dx, d_in, d_out = (torch.empty_like(v) for v in (x, w_in, w_out))
        d_gate = None if w_gate is None else torch.empty_like(w_gate)
        dx[sum(ctx.sizes) :] = 0
        buffer = h.new_empty(max(ctx.sizes), h.shape[1])
        for e, part in enumerate(_parts(ctx.sizes)):
            size = part.stop - part.start
            da = torch.mm(grad[part], w_out[e].t(), out=buffer[:size])
            hidden = _rows(part, h, gate, mask)
            a, dh, dg = activate_backward(ctx.activation, da, *hidden)
            torch.mm(a.t(), grad[part], out=d_out[e])
            torch.mm(x[part].t(), dh, out=d_in[e])
            torch.mm(dh, w_in[e].t(), out=dx[part])
            if dg is not None:
                torch.mm(x[part].t(), dg, out=d_gate[e])
                dx[part].addmm_(dg, w_gate[e].t())
        return dx, d_in, d_out, d_gate, None, None, None, None


class Grouped(torch.autograd.Function):
    """All experts in one call of ``F.grouped_mm``; arguments as `Segments`.

    Strides must be multiples of 16 bytes; no float64. On CUDA without a host
    synchronisation in bf16 from compute capability 8.0 on.
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
        offs = tokens_per_expert.cumsum(0).to(torch.int32)  # ends, as torch wants them
        h = F.grouped_mm(x, w_in, offs=offs)
        gate = None if w_gate is None else F.grouped_mm(x, w_gate, offs=offs)
        a = activate(activation, h, gate, mask)
        ctx.activation = activation
        ctx.save_for_backward(x, w_in, w_out, w_gate, mask, h, gate, offs)
        return _zero_tail(F.grouped_mm(a, w_out, offs=offs), offs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, w_in, w_out, w_gate, mask, h, gate, offs = ctx.saved_tensors
        grad = grad.contiguous()
        da = F.grouped_mm(grad, w_out.transpose(1, 2), offs=offs)
        a, dh, dg = activate_backward(ctx.activation, da, h, gate, mask)
        d_out = F.grouped_mm(a.t(), grad, offs=offs)
        d_in = F.grouped_mm(x.t(), dh, offs=offs)
        dx = F.grouped_mm(dh, w_in.transpose(1, 2), offs=offs)
        d_gate = None
        if dg is not None:
            d_gate = F.grouped_mm(x.t(), dg, offs=offs)
            dx += F.grouped_mm(dg, w_gate.transpose(1, 2), offs=offs)
        return _zero_tail(dx, offs), d_in, d_out, d_gate, None, None, None


def _parts(sizes: list[int]) -> list[slice]:
    ends = accumulate(sizes, initial=0)
    return [slice(start, end) for start, end in pairwise(ends)]


def _rows(part: slice, *values: Tensor | None) -> tuple[Tensor | None, ...]:
    return tuple(None if v is None else v[part] for v in values)


def _zero_tail(y: Tensor, offs: Tensor) -> Tensor:
    """Rows past the last expert's are uninitialised memory: make them 0."""
    rows = torch.arange(y.shape[0], device=y.device)
    return y.masked_fill_((rows >= offs[-1]).unsqueeze(1), 0)
