"""What a run of the name memory depends on, and the model itself, in three arms.

"dense" multiplies as much for each name as the mixture with its router. "mixture" has
experts in the second of its two feed-forward layers. "wide" is dense and has as many
parameters as the mixture, so it multiplies more.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from moe_lib.accounting import FeedForward
from moe_lib.checks import require_choice, require_count
from moe_lib.course.configuration import Configuration
from moe_lib.experts import Experts
from moe_lib.layer import MoE
from moe_lib.models.ffn import DenseFFN
from moe_lib.models.lookup_net import LookupNet
from moe_lib.routers import GShardRouter

ARMS = ("dense", "mixture", "wide")
LAYERS = 2


@dataclass(frozen=True)
class Setup(Configuration):
    """All that a run depends on, but for its seed and the facts.

    Args:
        arm: one of `ARMS`.
        d_model: width, that of the facts' features.
        d_ff: hidden width of the first layer. An expert has half of it, so the two
            experts of a name do the arithmetic of one such layer.
        num_experts, capacity_factor, second_expert_policy: of the `GShardRouter` in
            training; the defaults are the paper's. In evaluation nothing is dropped.
        w_balance: coefficient of the balance loss.
        steps, batch: of the run, and names in each step.
        lr: of AdamW, reached after 50 steps; then down in a line.

    Raises:
        ValueError: an unknown arm, an odd ``d_ff`` or number of experts.
    """

    arm: str = "mixture"
    d_model: int = 16
    d_ff: int = 64
    num_experts: int = 8
    capacity_factor: float | None = 1.0
    second_expert_policy: str = "random"
    w_balance: float = 0.01
    steps: int = 1000
    batch: int = 256
    lr: float = 0.04

    def __post_init__(self) -> None:
        require_choice("arm", self.arm, ARMS)
        for name in ("d_ff", "num_experts"):
            value = require_count(name, getattr(self, name), minimum=2)
            if value % 2:
                raise ValueError(f"{name}={value}: give an even number")

    @property
    def layers(self) -> tuple[FeedForward, FeedForward]:
        """The sizes of the two feed-forward layers, for the accounting.

        The dense second layer is wider by half the number of experts: that is the
        router's arithmetic.
        """
        d, experts = self.d_model, self.num_experts
        first = FeedForward(d, self.d_ff)
        if self.arm == "dense":
            return first, FeedForward(d, self.d_ff + experts // 2)
        sparse = FeedForward(d, self.d_ff // 2, num_experts=experts, top_k=2)
        if self.arm == "mixture":
            return first, sparse
        parameters = first.total_parameters + sparse.total_parameters
        even = FeedForward(d, -(-parameters // (LAYERS * first.matrices * d)))
        return even, even

    @property
    def flops(self) -> int:
        """Of the feed-forward layers, for one name, forward."""
        return sum(layer.flops(1) for layer in self.layers)

    @property
    def parameters(self) -> int:
        """Of the feed-forward layers; all else is the same in every arm."""
        return sum(layer.total_parameters for layer in self.layers)

    def build(self, num_languages: int, num_answers: int) -> LookupNet:
        """The model, drawn from torch's global generator."""

        def make_ffn(layer: int) -> nn.Module:
            size = self.layers[layer]
            if size.num_experts is None:
                return DenseFFN(size.d_model, size.d_ff)
            router = GShardRouter(
                size.d_model,
                size.num_experts,
                capacity_factor=self.capacity_factor,
                eval_capacity_factor=size.num_experts / size.top_k,  # room for all
                second_expert_policy=self.second_expert_policy,
            )
            return MoE(router, Experts(size.num_experts, size.d_model, size.d_ff))

        d, layers = self.d_model, LAYERS
        return LookupNet(d, num_languages, num_answers, make_ffn, num_layers=layers)
