"""Chapter 3's translators: an encoder-decoder, dense, with experts, or deeper.

As in GShard, every second feed-forward layer of encoder and decoder is a mixture.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from moe_lib.accounting import FeedForward, Transformer
from moe_lib.checks import require_count
from moe_lib.course.configuration import Configuration
from moe_lib.experts import Experts
from moe_lib.layer import MoE
from moe_lib.models.ffn import DenseFFN, moe_every
from moe_lib.models.transformer import EncoderDecoder
from moe_lib.routers import GShardRouter


@dataclass(frozen=True)
class Setup(Configuration):
    """All that a run depends on, but for its seed and the pairs.

    Args:
        num_experts: E of every second layer; 1 is the dense model. A token's two
            experts are ``d_ff / 2`` wide, so they compute as a dense layer does.
        num_layers: on each side. d_model, d_ff, num_heads: the usual.
        steps, pairs: of the run, and of each step.
        lr: of AdamW, reached after ``warmup`` steps; from there it falls as one over
            the root of the step. Such a rate knows no end of the run, so that all
            checkpoints are on an equal footing.
        w_balance: coefficient of the load balancing loss of each mixture.
        max_length: positions; two more than characters in the longest phrase.

    Raises:
        ValueError: a count below 1, or a width that two experts cannot share.
    """

    num_experts: int = 8
    num_layers: int = 2
    d_model: int = 64
    d_ff: int = 128
    num_heads: int = 4
    steps: int = 2000
    pairs: int = 32
    lr: float = 0.008
    warmup: int = 200
    w_balance: float = 0.01
    max_length: int = 50

    def __post_init__(self) -> None:
        for name in ("num_experts", "num_layers", "steps", "pairs", "warmup"):
            require_count(name, getattr(self, name))
        if self.d_ff % 2:
            raise ValueError(f"d_ff={self.d_ff}: give an even width, for two experts")

    @property
    def feed_forwards(self) -> list[FeedForward]:
        """The feed-forward layers of one side, for the accounting."""
        dense = FeedForward(self.d_model, self.d_ff)
        if self.num_experts == 1:
            return [dense] * self.num_layers
        mixture = FeedForward(
            self.d_model, self.d_ff // 2, num_experts=self.num_experts, top_k=2
        )
        return [mixture if n % 2 else dense for n in range(self.num_layers)]

    def flops(self, vocabulary: int, length: int) -> int:
        """Forward, routers included, of a pair with ``length`` characters a side."""
        dense = FeedForward(self.d_model, self.d_ff)
        whole = Transformer(
            vocab_size=vocabulary,
            num_layers=2 * self.num_layers,
            num_heads=self.num_heads,
            feed_forward=dense,
            cross_attention_layers=self.num_layers,
        ).flops(length, length)
        return whole + 2 * sum(
            layer.flops(length) - dense.flops(length) for layer in self.feed_forwards
        )

    def build(self, vocabulary: int) -> EncoderDecoder:
        """The model, drawn from torch's global generator."""

        def dense() -> nn.Module:
            return DenseFFN(self.d_model, self.d_ff)

        def mixture() -> nn.Module:
            router = GShardRouter(self.d_model, self.num_experts, capacity_factor=None)
            return MoE(router, Experts(self.num_experts, self.d_model, self.d_ff // 2))

        make_ffn = moe_every(2, dense if self.num_experts == 1 else mixture, dense)
        return EncoderDecoder(
            vocabulary, self.d_model, self.num_heads, self.num_layers, make_ffn,
            max_length=self.max_length,
        )  # fmt: skip


def arms(base: Setup) -> dict[str, Setup]:
    """A mixture, the dense model of (at least) its arithmetic, and one twice as deep.

    Each dense layer is wider by half the number of experts (or one more, to be even):
    so much costs a router, and only every second layer of the mixture has one.
    """
    wider = (base.num_experts + 3) // 4 * 2
    dense = base.but(num_experts=1, d_ff=base.d_ff + wider)
    deep = dense.but(num_layers=2 * base.num_layers)
    return {"dense": dense, "experts": base, "deep": deep}


QUICK = Setup(d_model=48, d_ff=96, steps=320, pairs=24, lr=0.01, warmup=80)
"""For a chapter: some seconds, on phrases of at most 32 characters."""
