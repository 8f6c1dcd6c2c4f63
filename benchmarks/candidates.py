"""What is timed: a dense layer, equal groups, and the layer of this library.

A candidate is a module and its input. Every one gets the same weights, and its
output is compared with `benchmarks.truth` before it is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import truth
from benchmarks.shapes import Bank
from moe_lib.experts import Experts
from moe_lib.layer import MoE
from moe_lib.routers import SwitchRouter, TopKRouter


@dataclass
class Candidate:
    """One way to compute the layer.

    Attributes:
        module: called with x; returns y, or a tuple that starts with y.
        x: its input, of whatever shape it wants.
        expected: its first output rows, ``[n, d_model]``, computed in another way.
    """

    module: nn.Module
    x: Tensor
    expected: Tensor
    grad: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.x = self.x.detach().clone().requires_grad_()
        self.grad = torch.randn_like(self.x)
        self.parameters = [*self.module.parameters(), self.x]

    def forward(self) -> Tensor:
        """As in use: without gradients."""
        with torch.no_grad():
            return self._output()

    def forward_backward(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None
        self._output().backward(self.grad)

    def _output(self) -> Tensor:
        y = self.module(self.x)
        return y[0] if isinstance(y, tuple) else y

    def error(self) -> float:
        """Largest difference from the expected output, relative to its scale.

        In half precision of the median row: there rounding alone sends a few tokens to
        another expert.
        """
        y = self.forward().reshape(-1, self.expected.shape[-1])
        y = y[: len(self.expected)]
        rows = (y.double() - self.expected).abs().amax(dim=1) / self.expected.std()
        return float(rows.median() if y.dtype.itemsize < 4 else rows.max())


class Dense(nn.Module):
    """One feed-forward network on all rows: no router, no movement."""

    def __init__(self, bank: Bank) -> None:
        super().__init__()
        self.w_in = nn.Parameter(bank.w_in[0].clone())
        self.w_gate = nn.Parameter(bank.w_gate[0].clone()) if bank.gated else None
        self.w_out = nn.Parameter(bank.w_out[0].clone())

    def forward(self, x: Tensor) -> Tensor:
        if self.w_gate is None:
            return F.relu(x @ self.w_in) @ self.w_out
        return (F.silu(x @ self.w_gate) * (x @ self.w_in)) @ self.w_out


class EqualGroups(nn.Module):
    """All experts, as many rows each: the traffic of E experts' weights, no routing."""

    def __init__(self, bank: Bank) -> None:
        super().__init__()
        self.w_in = nn.Parameter(bank.w_in.clone())
        self.w_gate = nn.Parameter(bank.w_gate.clone()) if bank.gated else None
        self.w_out = nn.Parameter(bank.w_out.clone())

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.bmm(x, self.w_in)
        if self.w_gate is None:
            return torch.bmm(F.relu(hidden), self.w_out)
        return torch.bmm(F.silu(torch.bmm(x, self.w_gate)) * hidden, self.w_out)


def dense(bank: Bank) -> Candidate:
    x = bank.x.repeat(bank.shape.top_k, 1)  # [T * k, d]
    rows = torch.zeros(truth.ROWS, dtype=torch.int64)
    return Candidate(Dense(bank), x, truth.one_expert_each(bank, rows))


def bmm(bank: Bank) -> Candidate:
    experts, rows = bank.shape.num_experts, bank.shape.rows
    if rows % experts:
        raise ValueError(f"{rows} rows do not divide among {experts} experts")
    x = bank.x.repeat(bank.shape.top_k, 1)
    served = torch.arange(truth.ROWS) // (rows // experts)
    expected = truth.one_expert_each(bank, served)
    return Candidate(EqualGroups(bank), x.view(experts, -1, x.shape[1]), expected)


def ours(bank: Bank) -> Candidate:
    """This library's layer: Mixtral's router."""
    shape = bank.shape
    router = TopKRouter(shape.d_model, shape.num_experts, top_k=shape.top_k)
    return our_layer(bank, router, truth.top_k(bank))


def ours_switch(bank: Bank) -> Candidate:
    """This library's layer: the Switch router, dropless."""
    shape = bank.shape
    router = SwitchRouter(shape.d_model, shape.num_experts, capacity_factor=None)
    return our_layer(bank, router, truth.switch(bank))


def our_layer(bank: Bank, router: nn.Module, expected: Tensor) -> Candidate:
    shape = bank.shape
    experts = Experts(shape.num_experts, shape.d_model, shape.d_ff, shape.activation)
    moe = MoE(router, experts).to(device=bank.device, dtype=bank.dtype)
    load(router.gate.weight, bank.gate)
    load(experts.w_in, bank.w_in)
    load(experts.w_out, bank.w_out)
    if bank.gated:
        load(experts.w_gate, bank.w_gate)
    return Candidate(moe, bank.x, expected)


def load(parameter: nn.Parameter, value: Tensor) -> None:
    """Copy ``value`` into a parameter of the same shape."""
    if parameter.shape != value.shape:
        raise ValueError(f"{list(value.shape)} does not fit {list(parameter.shape)}")
    with torch.no_grad():
        parameter.copy_(value)


OWN: dict[str, Callable[[Bank], Candidate]] = {
    "dense": dense,
    "bmm": bmm,
    "ours": ours,
    "ours, Switch": ours_switch,
}
