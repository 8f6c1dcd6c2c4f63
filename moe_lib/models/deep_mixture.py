"""Mixtures stacked: the first network in which a mixture of experts is a layer.

Eigen, Ranzato and Sutskever (2013), "Learning Factored Representations in a Deep
Mixture of Experts": z1 = sum_i g1_i(x) f1_i(x), z2 = sum_j g2_j(z1) f2_j(z1), and a
softmax layer on z2. Gates and experts know nothing of their neighbours but the vector
that comes in, and every pair (i, j) is a different network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from moe_lib.checks import require_count, require_matrix
from moe_lib.experts import LinearExperts
from moe_lib.routers import SoftmaxGate
from moe_lib.routing import Routing


class MixtureLayer(nn.Module):
    """E experts of one ReLU layer, and a gate with one hidden layer.

    Args:
        d_in, d_out: widths of input and output.
        num_experts: E. d_gate: hidden units of the gate.
    """

    def __init__(self, d_in: int, d_out: int, num_experts: int, d_gate: int) -> None:
        super().__init__()
        require_count("d_gate", d_gate)
        self.experts = LinearExperts(num_experts, d_in, d_out, sigmoid=False)
        self.gate_hidden = nn.Linear(d_in, d_gate)
        self.router = SoftmaxGate(d_gate, num_experts, bias=True)

    def forward(
        self, x: Tensor, allowed: Tensor | None = None
    ) -> tuple[Tensor, Routing]:
        """``x`` ``[T, d_in]`` to ``(y [T, d_out], routing)``.

        ``allowed`` ``[E]`` bool: the others get weight 0 (``kept`` is False) and the
        rest is renormalised; ``router_probs`` stays what the gate wished.
        """
        routing = self.router(self.gate_hidden(x).relu())
        if allowed is not None:
            routing = bar(routing, allowed)
        outputs = self.experts(x).relu()  # [T, E, d_out]
        return torch.einsum("te,ted->td", routing.dense(), outputs), routing


class DeepMixture(nn.Module):
    """Two mixture layers and a classifier.

    Args:
        d_in, num_classes: widths of input and output.
        num_experts, d_hidden, d_gate: one number per layer, first layer first.

    The call maps ``x`` ``[T, d_in]`` to ``(logits [T, num_classes], [routing, ...])``.
    """

    def __init__(
        self,
        d_in: int,
        num_classes: int,
        *,
        num_experts: Sequence[int] = (4, 4),
        d_hidden: Sequence[int] = (50, 50),
        d_gate: Sequence[int] = (50, 50),
    ) -> None:
        super().__init__()
        require_count("num_classes", num_classes)
        if not len(num_experts) == len(d_hidden) == len(d_gate) >= 1:
            raise ValueError(
                f"num_experts={num_experts}, d_hidden={d_hidden}, d_gate={d_gate}:"
                " give each one number per layer"
            )
        widths = [require_count("d_in", d_in), *d_hidden]
        self.d_in = d_in
        self.layers = nn.ModuleList(
            MixtureLayer(widths[k], widths[k + 1], num_experts[k], d_gate[k])
            for k in range(len(num_experts))
        )
        self.classifier = nn.Linear(widths[-1], num_classes)

    def forward(
        self, x: Tensor, allowed: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, list[Routing]]:
        require_matrix("x", x, self.d_in)
        routings = []
        for k, layer in enumerate(self.layers):
            x, routing = layer(x, None if allowed is None else allowed[k])
            routings.append(routing)
        return self.classifier(x), routings


class RunningTotals:
    """The balancing of 2013: who is too far ahead must wait.

    G_i is the sum of expert i's gate over all cases so far. While G_i exceeds the
    mean of its layer by more than ``margin``, expert i gets no cases.

    Args:
        num_experts: experts of each layer.
        margin: m, in cases. ``float("inf")`` balances nothing.
        device: where the gates are counted; the model's.
    """

    def __init__(
        self,
        num_experts: Sequence[int],
        margin: float,
        *,
        device: torch.device | str | None = None,
    ) -> None:
        if not margin >= 0:
            raise ValueError(f"margin={margin}: give a number of cases, 0 or more")
        self.margin = margin
        self.totals = [
            torch.zeros(
                require_count("num_experts", e), dtype=torch.float64, device=device
            )
            for e in num_experts
        ]

    def allowed(self) -> list[Tensor]:
        """For each layer ``[E]`` bool: G_i - mean(G) <= margin. Never all False."""
        # the one furthest behind may always go: rounding must not bar everybody
        return [
            (total - total.mean() <= self.margin) | (total == total.min())
            for total in self.totals
        ]

    def add(self, routings: Sequence[Routing]) -> None:
        """Count a batch: the gates as they were applied."""
        for total, routing in zip(self.totals, routings, strict=True):
            total += routing.dense().detach().sum(dim=0)


def bar(routing: Routing, allowed: Tensor) -> Routing:
    """A dense routing with only the ``allowed`` ``[E]`` experts, renormalised."""
    fits = allowed.shape == (routing.num_experts,) and allowed.dtype == torch.bool
    # only on the CPU is looking at the values free
    if not fits or (allowed.device.type == "cpu" and not allowed.any()):
        raise ValueError(
            f"allowed={allowed}: give [{routing.num_experts}] bool, one True"
        )
    # a softmax over the rest is the same as zeroing and renormalising, but can not
    # divide by zero
    logits = routing.router_logits.masked_fill(~allowed, float("-inf"))
    return replace(
        routing,
        combine_weights=logits.softmax(dim=-1).flatten(),
        kept=allowed.repeat(routing.num_tokens),
    )
