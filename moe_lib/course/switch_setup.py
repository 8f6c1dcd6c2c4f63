"""What a run of chapter 4's language models depends on, and the models themselves.

A small decoder on bytes. As in Switch, every second feed-forward layer is a mixture;
the first of each two, where experts gain most in a model of two layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from moe_lib.accounting import FeedForward, Transformer
from moe_lib.checks import require_choice, require_count
from moe_lib.course.configuration import Configuration
from moe_lib.data.domain_text import Span
from moe_lib.experts import Experts
from moe_lib.language_modelling import AuxiliaryLosses
from moe_lib.layer import MoE
from moe_lib.losses import load_balancing_loss, router_z_loss
from moe_lib.models.ffn import DenseFFN
from moe_lib.models.transformer import TransformerLM
from moe_lib.routers import GShardRouter, SwitchRouter

LENGTH = 64  # bytes of a text that the model sees at once
VOCABULARY = 256
ROUTERS = ("dense", "switch", "top-2")
MakeRouter = Callable[[], nn.Module]


@dataclass(frozen=True)
class Setup(Configuration):
    """All that a run depends on, but for its seed and the text.

    Args:
        router: "dense" for no experts at all, "switch" for one expert of each token,
            "top-2" for two of them, each as wide as the dense layer.
        num_experts: E of every second layer.
        capacity_factor: of the buffers, ``factor * tokens / E`` places at each expert
            whatever the router, as Switch counts: a top-2 router needs 2 of it. In
            evaluation there is room for all, unless ``eval_capacity_factor`` says
            how much.
        w_balance, w_z: coefficients of the load balancing loss and of the router
            z-loss, for each mixture.
        init_scale: of the experts, 1 or the paper's 0.1. jitter_noise: of the router.
        mixture_first: False puts the mixture second of each two layers.
        num_layers, d_model, d_ff, num_heads: the usual; an even number of layers.
        byte_tables: bytes that the input tables look back on.
        steps, tokens: of the run, and of each step.
        lr: of AdamW, reached after ``warmup`` steps; from there it falls as one over
            the root of the step, so that all checkpoints are on an equal footing.

    Raises:
        ValueError: an unknown router, a count below 1, an odd number of layers.
    """

    routers: ClassVar[tuple[str, ...]] = ROUTERS  # to choose from
    masked: ClassVar[bool] = False  # the next byte is told, not a hidden one

    router: str = "switch"
    num_experts: int = 16
    capacity_factor: float | None = 1.25
    eval_capacity_factor: float | None = None
    w_balance: float = 0.01
    w_z: float = 0.0
    init_scale: float = 1.0
    jitter_noise: float = 0.0
    mixture_first: bool = True
    num_layers: int = 2
    d_model: int = 64
    d_ff: int = 128
    num_heads: int = 4
    byte_tables: int = 4
    steps: int = 1000
    tokens: int = 2048
    lr: float = 0.014
    warmup: int = 100

    def __post_init__(self) -> None:
        require_choice("router", self.router, self.routers)
        for name in ("num_experts", "num_layers", "steps", "warmup"):
            require_count(name, getattr(self, name))
        if self.num_layers % 2:
            raise ValueError(
                f"num_layers={self.num_layers}: give an even number, since every"
                " second layer is a mixture"
            )

    @property
    def dense(self) -> bool:
        return self.router == "dense"

    @property
    def span(self) -> Span:
        """What the model sees and predicts of a window of bytes."""
        return Span(1, LENGTH)

    @property
    def losses(self) -> AuxiliaryLosses:
        """Of a mixture."""
        return {load_balancing_loss: self.w_balance, router_z_loss: self.w_z}

    @property
    def top_k(self) -> int:
        """Experts of a token."""
        return 2 if self.router == "top-2" else 1

    @property
    def feed_forward(self) -> FeedForward:
        """The sizes of every second feed-forward layer, for the accounting."""
        if self.dense:
            return FeedForward(self.d_model, self.d_ff)
        return FeedForward(
            self.d_model,
            self.d_ff,
            num_experts=self.num_experts,
            top_k=self.top_k,
        )

    @property
    def sizes(self) -> Transformer:
        """The whole model, for the accounting."""
        return Transformer(
            vocab_size=VOCABULARY,
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            feed_forward=self.feed_forward,
            moe_every=2,
        )

    @property
    def flops(self) -> int:
        """Forward, routers included, for one byte of a window."""
        return self.sizes.flops(1, LENGTH)

    def make_router(self) -> nn.Module:
        """The router of one mixture, drawn from torch's global generator."""
        factors = [self.capacity_factor, self.eval_capacity_factor]
        if self.router == "top-2":  # ours counts the two choices in
            halves = [None if f is None else f / 2 for f in factors]
            return GShardRouter(
                self.d_model,
                self.num_experts,
                capacity_factor=halves[0],
                eval_capacity_factor=halves[1] or self.num_experts / 2,
                second_expert_policy="all",
            )
        return SwitchRouter(
            self.d_model,
            self.num_experts,
            capacity_factor=factors[0],
            eval_capacity_factor=factors[1] or self.num_experts,
            jitter_noise=self.jitter_noise,
        )

    def build(self, make_router: MakeRouter | None = None) -> TransformerLM:
        """The model, drawn from torch's global generator.

        Args:
            make_router: builds another router than the setup's.
        """
        make_router = make_router or self.make_router

        def dense() -> nn.Module:
            return DenseFFN(self.d_model, self.d_ff, init_scale=self.init_scale)

        def mixture() -> nn.Module:
            experts = Experts(
                self.num_experts, self.d_model, self.d_ff, init_scale=self.init_scale
            )
            return MoE(make_router(), experts)

        def make_ffn(layer: int) -> nn.Module:
            second = layer % 2 == 1
            return dense() if self.dense or second is self.mixture_first else mixture()

        return TransformerLM(
            VOCABULARY,
            self.d_model,
            self.num_heads,
            self.num_layers,
            make_ffn,
            max_length=LENGTH,
            causal=not self.masked,
            byte_width=self.byte_tables,
        )


def as_much_arithmetic(mixture: Setup) -> Setup:
    """The dense model that multiplies at least as much for a byte as the mixture.

    Its layers are wider, all by the same, by what the routers multiply.
    """
    per_unit = 4 * mixture.d_model  # of a hidden unit: two matrices, two FLOPs each
    dense = mixture.but(router="dense")
    missing = mixture.flops - dense.flops
    wider = -(-missing // (per_unit * mixture.num_layers))  # rounded up
    return dense.but(d_ff=mixture.d_ff + wider)
