"""A language model of words whose trunk and gates are small enough for a web page."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from moe_lib.experts import Experts
from moe_lib.layer import MoE
from moe_lib.models.byte_tables import NO_BYTE
from moe_lib.routers import SwitchRouter
from moe_lib.routing import Routing


class WordTrunk(nn.Module):
    """The router's input x, from bytes of a word: ``x = relu(b W_hidden) W_out``.

    b are the vectors of the bytes side by side, so that each byte has its place.

    Args:
        places: bytes that are looked at.
        d_byte, d_hidden, d_model: widths of a byte's vector, the hidden layer and x.
    """

    def __init__(self, places: int, d_byte: int, d_hidden: int, d_model: int) -> None:
        super().__init__()
        self.d_model = d_model
        self.bytes = nn.Embedding(NO_BYTE + 1, d_byte)
        self.hidden = nn.Linear(places * d_byte, d_hidden, bias=False)
        self.out = nn.Linear(d_hidden, d_model, bias=False)

    def forward(self, seen: Tensor) -> Tensor:
        """``[N, places]`` int64 -> ``[N, d_model]``."""
        return self.out(self.hidden(self.bytes(seen).flatten(1)).relu())


class WordRouter(nn.Module):
    """One trunk, and a Switch layer for each number of experts, trained together.

    The layers share trunk and head: one x serves all gates. There is no road around
    the experts, and they are tiny. So which expert a word goes to decides much of what
    is predicted after it, and words of one kind gather (a residual road and wider
    experts predict better, but then an expert's words have little in common). The
    gates start ``2.5 log2(E)`` times as large as a linear layer would, which keeps
    their probabilities away from 1/E.

    Args:
        trunk: makes x.
        vocabulary: V, the words that are predicted.
        experts: the numbers of experts.
        d_ff: hidden units of one expert.
    """

    def __init__(
        self,
        trunk: WordTrunk,
        vocabulary: int,
        experts: Sequence[int],
        *,
        d_ff: int = 8,
    ) -> None:
        super().__init__()
        width = trunk.d_model
        self.trunk = trunk
        self.layers = nn.ModuleList(
            MoE(SwitchRouter(width, count), Experts(count, width, d_ff))
            for count in experts
        )
        self.head = nn.Linear(width, vocabulary)
        with torch.no_grad():
            for count, layer in zip(experts, self.layers, strict=True):
                layer.router.gate.weight *= 2.5 * math.log2(count)

    def forward(self, seen: Tensor) -> tuple[Tensor, list[Routing]]:
        """``[N, places]`` int64 -> logits ``[layers, N, V]``, a routing per layer."""
        x = self.trunk(seen)
        outputs, routings = zip(*(layer(x) for layer in self.layers), strict=True)
        return self.head(torch.stack(outputs)), list(routings)
