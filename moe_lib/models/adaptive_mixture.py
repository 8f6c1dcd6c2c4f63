"""The mixture of 1991, and the back-propagation network it was raced against."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from moe_lib.checks import require_count, require_matrix
from moe_lib.experts import LinearExperts, ModuleExperts
from moe_lib.routers import SoftmaxGate
from moe_lib.routing import Routing


class AdaptiveMixture(nn.Module):
    """Experts and a gate that look at the same input (Jacobs et al., 1991, fig. 1).

    Args:
        d_in: width of the input.
        experts: a bank of experts (a module with ``num_experts`` whose call returns
            ``[T, E, D]``), or a list of modules that each return ``[T, D]``.

    The call returns ``(outputs [T, E, D], routing)``: what the losses of 1991 need.
    `blend` gives the mixture's answer ``[T, D]``.
    """

    def __init__(self, d_in: int, experts: nn.Module | Sequence[nn.Module]) -> None:
        super().__init__()
        if not isinstance(experts, nn.Module):
            experts = ModuleExperts(experts)
        self.experts = experts
        self.router = SoftmaxGate(d_in, experts.num_experts, bias=True)
        # The paper does not say how the gate starts. Even shares favour nobody.
        nn.init.zeros_(self.router.gate.weight)
        nn.init.zeros_(self.router.gate.bias)

    @classmethod
    def linear(
        cls, d_in: int, d_out: int, num_experts: int, *, sigmoid: bool = True
    ) -> AdaptiveMixture:
        """The paper's own: linear experts (through a sigmoid) and a linear gate."""
        require_count("num_experts", num_experts)
        bank = LinearExperts(num_experts, d_in, d_out, sigmoid=sigmoid)
        return cls(d_in, bank)

    def forward(self, x: Tensor) -> tuple[Tensor, Routing]:
        require_matrix("x", x, self.router.d_model)
        return self.experts(x), self.router(x)

    def blend(self, x: Tensor) -> Tensor:
        """``sum_i p_i o_i``, ``[T, D]``."""
        outputs, routing = self(x)
        return torch.einsum("te,ted->td", routing.dense(), outputs)


class BackpropNet(nn.Module):
    """One hidden layer of sigmoids: the paper's "BP 6 Hid" and "BP 12 Hid".

    The call maps ``x`` ``[T, d_in]`` to ``[T, d_out]``.
    """

    def __init__(
        self, d_in: int, num_hidden: int, d_out: int, *, sigmoid: bool = True
    ) -> None:
        super().__init__()
        require_count("num_hidden", num_hidden)
        self.d_in, self.sigmoid = require_count("d_in", d_in), sigmoid
        self.hidden = nn.Linear(d_in, num_hidden)
        self.output = nn.Linear(num_hidden, d_out)

    def forward(self, x: Tensor) -> Tensor:
        require_matrix("x", x, self.d_in)
        y = self.output(self.hidden(x).sigmoid())
        return y.sigmoid() if self.sigmoid else y
