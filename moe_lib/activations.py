"""What experts do between their matrices, forward and (by hand) backward."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

ACTIVATIONS = ("relu", "gelu", "swiglu")
aten = torch.ops.aten


def activate(
    activation: str, h: Tensor, gate: Tensor | None, mask: Tensor | None
) -> Tensor:
    """The hidden rows, from what ``w_in`` and ``w_gate`` gave.

    With "relu" ``h`` is overwritten: where it was not positive is all that backward
    needs to know.

    Args:
        activation: one of `ACTIVATIONS`.
        h, gate: ``[..., d_ff]``; gate is None but for "swiglu".
        mask: ``[..., d_ff]``, what dropout multiplies by; None: nothing.

    Returns:
        ``[..., d_ff]``.
    """
    if activation == "relu":
        a = h.relu_()
    else:
        a = F.gelu(h) if activation == "gelu" else F.silu(gate).mul_(h)
    return a if mask is None else a.mul_(mask)


def activate_backward(
    activation: str, grad: Tensor, h: Tensor, gate: Tensor | None, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The hidden rows again, and the gradients of ``h`` and ``gate``.

    Args:
        activation, h, gate, mask: as `activate` was given them; ``h`` as it left it.
        grad: ``[..., d_ff]``, that of the hidden rows; it is overwritten.

    Returns:
        Three ``[..., d_ff]``; the last is None where there is no gate.
    """
    if mask is not None:
        grad.mul_(mask)
    if activation == "relu":
        return h, aten.threshold_backward.grad_input(grad, h, 0, grad_input=grad), None
    d_gate = None
    if activation == "gelu":
        a = F.gelu(h)
        aten.gelu_backward.grad_input(grad, h, grad_input=grad)
    else:
        silu = F.silu(gate)
        d_gate = grad * h
        aten.silu_backward.grad_input(d_gate, gate, grad_input=d_gate)
        grad.mul_(silu)
        a = silu.mul_(h)
    return a if mask is None else a.mul_(mask), grad, d_gate
