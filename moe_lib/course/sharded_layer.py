"""A Switch layer cut into n rows and m columns of cores; every number sent is counted.

The cores are pretended, in one process. But each computes only with what it holds, and
with what another core sent to it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from moe_lib.course.who_holds_what import Layout
from moe_lib.course.wire import Core, Meet, Meeting, Wire, stay
from moe_lib.layer import MoE
from moe_lib.models.ffn import DenseFFN

Parts = dict[Core, Tensor]


class ShardedLayer:
    """The shares of a `MoE` with a `SwitchRouter`, or of a `DenseFFN`, core by core.

    Args:
        whole: the layer to cut up, of the layout's sizes, with ReLU; its router counts
            places among the tokens of one row.

    Attributes:
        wire: counts what is sent. x, w_in, w_out, router: core -> its share, whose
            gradients are there after `backward`; a dense layer has no router.
    """

    def __init__(self, whole: MoE | DenseFFN, layout: Layout) -> None:
        self.layout, self.wire = layout, Wire()
        self.cores = [(i, j) for i in range(layout.rows) for j in range(layout.columns)]
        dense = isinstance(whole, DenseFFN)
        experts = whole.expert if dense else whole.experts
        self.router = {} if dense else {c: copy.deepcopy(whole.router)
                                        for c in self.cores}  # fmt: skip
        self.x, self.w_in, self.w_out = {}, {}, {}
        for core in self.cores:
            _, own, units = (list(part) for part in layout.share(*core))
            self.w_in[core] = _leaf(experts.w_in[own][:, :, units])
            self.w_out[core] = _leaf(experts.w_out[own][:, units])

    def forward(self, x: Tensor) -> Parts:
        """Tokens ``[B, d_model]`` -> each core's outputs of the tokens of its row."""
        layout = self.layout
        self.x = {c: _leaf(x[list(layout.share(*c).tokens)]) for c in self.cores}
        journey = self.wire.all_to_all("tokens")
        total = self.wire.all_reduce("partial sums")
        plans = {core: self._plan(core) for core in self.cores}
        rows = {core: self._buffer(core, plans[core]) for core in self.cores}
        rows = self._met(rows, self._exchanges(), journey, journey)
        rows = self._met(rows, self._rows(), stay, total)
        rows = {core: self._served(core, guests) for core, guests in rows.items()}
        rows = self._met(rows, self._rows(), total, stay)
        rows = self._met(rows, self._exchanges(), journey, journey)
        outputs = {}
        for core, (token, slot, weight) in plans.items():
            there = rows[core].flatten(0, 1)[slot]
            empty = torch.zeros_like(self.x[core])
            outputs[core] = empty.index_add(0, token, weight[:, None] * there)
        return outputs

    def backward(self, outputs: Parts, target: Tensor) -> None:
        """Gradients of the sum of ``y * target``, summed over copies at the end."""
        layout, total = self.layout, self.wire.all_reduce("gradients")
        torch.stack([
            (y * target[list(layout.share(*core).tokens)]).sum()
            for core, y in outputs.items()
        ]).sum().backward()  # fmt: skip
        for j in range(layout.columns):
            for i in range(layout.group):
                ring = [(r, j) for r in range(i, layout.rows, layout.group)]
                for weights in (self.w_in, self.w_out):
                    _sum_gradients([weights[core] for core in ring], ring, total)
            ring = [(r, j) for r in range(layout.rows)]
            if self.router:
                gates = [self.router[core].gate.weight for core in ring]
                _sum_gradients(gates, ring, total)

    # -- the steps of a layer ------------------------------------------------------

    def _plan(self, core: Core) -> tuple[Tensor, Tensor, Tensor]:
        """Of the rows that were kept: token, place in the buffer, gate."""
        x = self.x[core]
        if not self.router:
            everyone = torch.arange(len(x))
            return everyone, everyone, x.new_ones(len(x))
        table = self.router[core](x)
        slot = table.expert_index * self.layout.capacity + table.position_in_expert
        kept = table.kept
        return table.token_index[kept], slot[kept], table.combine_weights[kept]

    def _buffer(self, core: Core, plan: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """``[group, E / group * C, d_model]``: a block for each row of the group."""
        token, slot, _ = plan
        x, layout = self.x[core], self.layout
        empty = x.new_zeros(layout.num_experts * layout.capacity, layout.d_model)
        return empty.index_copy(0, slot, x[token]).unflatten(0, (layout.group, -1))

    def _served(self, core: Core, guests: Tensor) -> Tensor:
        """What this core's units of this core's experts make of all guests."""
        own = len(self.w_in[core])
        rows = guests.unflatten(1, (own, -1)).transpose(0, 1)  # [own, group, C, d]
        hidden = torch.relu(rows.flatten(1, 2) @ self.w_in[core])
        sums = (hidden @ self.w_out[core]).view_as(rows)
        return sums.transpose(0, 1).flatten(1, 2)

    # -- who meets whom ------------------------------------------------------------

    def _rows(self) -> list[list[Core]]:
        n, m = self.layout.rows, self.layout.columns
        return [[(i, j) for j in range(m)] for i in range(n)]

    def _exchanges(self) -> list[list[Core]]:
        """In each column, the rows of a group."""
        size = self.layout.group
        return [
            [(first + i, j) for i in range(size)]
            for j in range(self.layout.columns)
            for first in range(0, self.layout.rows, size)
        ]

    @staticmethod
    def _met(
        parts: Parts, rings: Sequence[Sequence[Core]], there: Meeting, back: Meeting
    ) -> Parts:
        found = {}
        for ring in rings:
            met = Meet.apply(ring, there, back, *(parts[core] for core in ring))
            found |= dict(zip(ring, met, strict=True))
        return found


def _leaf(weight: Tensor) -> nn.Parameter:
    return nn.Parameter(weight.detach().clone())


def _sum_gradients(
    weights: Sequence[nn.Parameter], ring: Sequence[Core], total: Meeting
) -> None:
    sums = total(ring, [weight.grad for weight in weights])
    for weight, grad in zip(weights, sums, strict=True):
        weight.grad = grad
