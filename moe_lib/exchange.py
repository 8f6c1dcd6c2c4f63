"""The all-to-all: rows go to the ranks that hold their experts, and come back.

On `torch.distributed`. A rank is a process with its own share of the experts; between
two ranks travel whole rows, as they are, rounded to bfloat16, or as int8 with one scale
a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from moe_lib.checks import require_choice
from moe_lib.recorder import Recorder

PAYLOADS = ("same", "bfloat16", "int8")
"""What a row travels as: its own dtype, bfloat16, or int8 with one float32 scale."""

OPPOSITE = {"dispatch": "combine", "combine": "dispatch"}
SCALE_BYTES = 4  # one float32


def all_to_all(
    rows: Tensor,
    sent: list[int],
    received: list[int],
    group: dist.ProcessGroup | None = None,
    payload: str = "same",
    *,
    recorder: Recorder | None = None,
    kind: str = "dispatch",
) -> Tensor:
    """Rows ``[sum(sent), D]`` -> ``[sum(received), D]``, in order of the sending rank.

    Differentiable: in the backward pass the gradients travel the other way, with the
    same payload. So every rank of the group must call this, and later backward, also
    with no rows at all; while gradients are enabled the answer therefore requires one
    on every rank, whether ``rows`` does or not: a rank that left the backward exchange
    out would keep the others waiting for ever.

    Args:
        sent, received: how many rows go to each rank, and come from each.
        payload: one of `PAYLOADS`, the same on all ranks. int8: an entry's error is at
            most half its row's scale, which is the row's largest magnitude / 127.
        recorder: notes bytes and times; None costs nothing.
        kind: "dispatch" (to the experts) or "combine" (home), for the recorder. The
            backward pass of one is noted as the other: that is where its rows go.

    Raises:
        ValueError: an unknown payload or kind.
    """
    require_choice("payload", payload, PAYLOADS)
    require_choice("kind", kind, OPPOSITE)
    if torch.is_grad_enabled() and not rows.requires_grad:
        rows = rows.detach().requires_grad_()
    return _AllToAll.apply(rows, sent, received, group, payload, recorder, kind)


def exchange_counts(
    counts: Tensor,
    group: dist.ProcessGroup | None = None,
    *,
    recorder: Recorder | None = None,
) -> tuple[Tensor, list[int], list[int]]:
    """Tell every rank how many rows it will get, before the rows go.

    The buffers' sizes must be numbers in Python, here and in torch's own call: this is
    the one place of the layer that waits for the device, and no way of sending exactly
    the rows there are can leave it out.

    Args:
        counts: ``[E]`` int64, rows that this rank has for each of all experts.

    Returns:
        ``[R, E / R]``, how many each rank sends to each of this rank's own experts; how
        many rows go to each rank; how many come from each.
    """
    ranks = dist.get_world_size(group)
    received = torch.empty_like(counts)
    with _noted(recorder, "dispatch"):
        dist.all_to_all_single(received, counts, group=group)
        both = torch.stack([counts, received]).view(2, ranks, -1)
        sent_to, received_from = both.sum(dim=2).tolist()
    return both[1], sent_to, received_from


def payload_bytes(
    num_rows: int, d_model: int, dtype: torch.dtype, payload: str = "same"
) -> int:
    """Bytes that ``num_rows`` rows of ``d_model`` numbers of ``dtype`` travel as.

    Raises:
        ValueError: an unknown payload.
    """
    require_choice("payload", payload, PAYLOADS)
    if payload == "int8":
        return num_rows * (d_model + SCALE_BYTES)
    sent = torch.bfloat16 if payload == "bfloat16" else dtype
    return num_rows * d_model * sent.itemsize


class _AllToAll(torch.autograd.Function):
    """`dist.all_to_all_single` of packed rows; torch's own gives no gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        sent: list[int],
        received: list[int],
        group: dist.ProcessGroup | None,
        payload: str,
        recorder: Recorder | None,
        kind: str,
    ) -> Tensor:
        ctx.back = received, sent, group, payload, recorder, OPPOSITE[kind]
        return _exchange(rows, sent, received, group, payload, recorder, kind)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return _exchange(grad, *ctx.back), None, None, None, None, None, None


def _exchange(
    rows: Tensor,
    sent: list[int],
    received: list[int],
    group: dist.ProcessGroup | None,
    payload: str,
    recorder: Recorder | None,
    kind: str,
) -> Tensor:
    outgoing = pack(rows, payload).contiguous()
    incoming = outgoing.new_empty(sum(received), outgoing.shape[1])
    row_bytes = outgoing.shape[1] * outgoing.element_size()
    sent_bytes = [count * row_bytes for count in sent]
    with _noted(recorder, kind, sent_bytes):
        dist.all_to_all_single(incoming, outgoing, received, sent, group=group)
    return unpack(incoming, payload, rows.dtype)


def _noted(
    recorder: Recorder | None, kind: str, sent_bytes: Sequence[int] | None = None
) -> AbstractContextManager[None]:
    return nullcontext() if recorder is None else recorder.exchange(kind, sent_bytes)


def pack(rows: Tensor, payload: str) -> Tensor:
    """Float rows ``[N, D]`` -> what travels; for int8 bytes ``[N, D + 4]``."""
    if payload == "same":
        return rows
    if payload == "bfloat16":
        return rows.bfloat16()
    rows = rows if rows.dtype == torch.float64 else rows.float()
    largest = rows.abs().amax(dim=1, keepdim=True)
    scale = (largest / 127).float()
    scale = scale.clamp(min=torch.finfo(torch.float32).tiny)  # a row of zeros stays 0
    whole = (rows / scale).round().clamp(-127, 127).to(torch.int8)
    return torch.cat([whole.view(torch.uint8), scale.view(torch.uint8)], dim=1)


def unpack(packed: Tensor, payload: str, dtype: torch.dtype) -> Tensor:
    """The rows again, ``[N, D]`` of ``dtype``."""
    if payload != "int8":
        return packed.to(dtype)
    d_model = packed.shape[1] - SCALE_BYTES
    scale = packed[:, d_model:].clone(memory_format=torch.contiguous_format)
    scale = scale.view(torch.float32)  # [N, 1]; a copy, since memory must be aligned
    return (packed[:, :d_model].view(torch.int8) * scale.to(dtype)).to(dtype)
