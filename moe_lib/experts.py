"""Banks of experts: many small networks, one forward."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from moe_lib.checks import require_count


class LinearExperts(nn.Module):
    """E experts with one layer each: ``o_i = activation(W_i x + b_i)``.

    The experts of Jacobs et al. (1991) are these, with a sigmoid: each one alone can
    only draw straight lines between classes.

    Args:
        num_experts, d_in, d_out: E and the widths of input and output.
        sigmoid: squash the outputs into 0..1 (as the paper does); False leaves the
            experts linear, for regression.

    The call maps ``x`` ``[T, d_in]`` to all experts' outputs ``[T, E, d_out]``.
    """

    def __init__(
        self, num_experts: int, d_in: int, d_out: int, *, sigmoid: bool = True
    ) -> None:
        super().__init__()
        require_count("num_experts", num_experts)
        require_count("d_in", d_in)
        require_count("d_out", d_out)
        self.num_experts, self.d_out, self.sigmoid = num_experts, d_out, sigmoid
        bound = d_in**-0.5  # as torch.nn.Linear draws its own
        self.weight = nn.Parameter(torch.empty(d_in, num_experts * d_out))
        self.bias = nn.Parameter(torch.empty(num_experts * d_out))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.addmm(self.bias, x, self.weight)  # [T, E * d_out]: one product
        y = y.view(x.shape[0], self.num_experts, self.d_out)
        return y.sigmoid() if self.sigmoid else y


class ModuleExperts(nn.Module):
    """Any modules as experts: each maps ``[T, d_in]`` to ``[T, d_out]``.

    The call returns all outputs, ``[T, E, d_out]``.
    """

    def __init__(self, experts: Sequence[nn.Module]) -> None:
        super().__init__()
        require_count("num_experts", len(experts))
        self.experts = nn.ModuleList(experts)
        self.num_experts = len(experts)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([expert(x) for expert in self.experts], dim=1)
