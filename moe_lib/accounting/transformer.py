"""A whole transformer, from its sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from moe_lib.accounting.feed_forward import FeedForward
from moe_lib.accounting.memory import Memory, training_memory
from moe_lib.checks import require_count


@dataclass(frozen=True)
class Transformer:
    """The sizes of a transformer, and what follows from them.

    Args:
        vocab_size, num_layers, num_heads: as usual. Of an encoder-decoder,
            ``num_layers`` counts the blocks of both.
        feed_forward: the layer in every ``moe_every``-th block; the other blocks have
            one expert of its size, without a router.
        num_kv_heads: heads of keys and values, shared among the ``num_heads`` of the
            queries; None: as many.
        head_dim: None: ``d_model / num_heads``.
        tied_embeddings: one table for input and output.
        cross_attention_layers: blocks that also attend to an encoder.
        norm_vectors: parameters of a norm, in units of d_model: 1 RMSNorm, 2 LayerNorm.
        position_parameters: learnt positions, or T5's relative ones.

    Raises:
        ValueError: a size that is not a positive whole number; heads that do not fit.
    """

    vocab_size: int
    num_layers: int
    num_heads: int
    feed_forward: FeedForward
    moe_every: int = 1
    num_kv_heads: int | None = None
    head_dim: int | None = None
    tied_embeddings: bool = False
    cross_attention_layers: int = 0
    norm_vectors: int = 1
    position_parameters: int = 0

    def __post_init__(self) -> None:
        for name in ("vocab_size", "num_layers", "num_heads", "moe_every"):
            require_count(name, getattr(self, name))
        if self.head_dim is None and self.d_model % self.num_heads:
            raise ValueError(
                f"d_model={self.d_model} is not a multiple of num_heads="
                f"{self.num_heads}: give head_dim"
            )

    @property
    def d_model(self) -> int:
        return self.feed_forward.d_model

    @property
    def query_width(self) -> int:
        """All heads of the queries together."""
        return self.num_heads * (self.head_dim or self.d_model // self.num_heads)

    @property
    def key_width(self) -> int:
        """All heads of the keys (or the values) together."""
        kv_heads = self.num_kv_heads or self.num_heads
        return self.query_width * kv_heads // self.num_heads

    @property
    def attentions(self) -> int:
        """Self-attentions and cross-attentions."""
        return self.num_layers + self.cross_attention_layers

    @property
    def layers(self) -> list[FeedForward]:
        """The feed-forward layer of each block; the mixtures come last of their few."""
        sparse = self.feed_forward
        dense = replace(
            sparse, num_experts=None, top_k=1, shared_experts=0, capacity_factor=None
        )
        turns = range(1, self.num_layers + 1)
        return [dense if turn % self.moe_every else sparse for turn in turns]

    def parts(self) -> dict[str, tuple[int, int]]:
        """Part -> (parameters in total, of those active for a token).

        Active counts everything that a token's own computation reads, the whole
        tables of input and output included, as is the custom.
        """
        layers, d = self.layers, self.d_model
        dense = sum(f.total_parameters for f in layers if f.num_experts is None)
        sparse = [f for f in layers if f.num_experts is not None]
        routers = sum(f.router_parameters for f in sparse)
        attention = self.attentions * 2 * d * (self.query_width + self.key_width)
        last = 2 if self.cross_attention_layers else 1  # one for each stack
        norms = (self.num_layers + self.attentions + last) * self.norm_vectors * d
        tables = self.vocab_size * d * (1 if self.tied_embeddings else 2)
        total, active = (
            sum(getattr(f, f"{kind}_parameters") for f in sparse) - routers
            for kind in ("total", "active")
        )
        same = {
            "embeddings": tables + self.position_parameters,
            "attention": attention,
            "dense FFN": dense,
            "routers": routers,
            "norms": norms,
        }
        return {"experts": (total, active)} | {k: (n, n) for k, n in same.items()}

    @property
    def total_parameters(self) -> int:
        return sum(total for total, _ in self.parts().values())

    @property
    def active_parameters(self) -> int:
        return sum(active for _, active in self.parts().values())

    def flops(
        self, num_tokens: int, sequence_length: int, *, backward: bool = False
    ) -> int:
        """Matrix products of forward; with ``backward`` of both, three times as many.

        Attention is counted over the whole sequence, though a causal kernel may skip
        half. Of an encoder-decoder, ``num_tokens`` go in on each side.
        """
        parts = self.parts()
        products = sum(f.flops(num_tokens) for f in self.layers)
        products += 2 * num_tokens * parts["attention"][1]
        products += 2 * num_tokens * self.vocab_size * self.d_model
        scores = 2 * 2 * num_tokens * sequence_length * self.query_width
        products += self.attentions * scores
        return products * (3 if backward else 1)

    def activation_bytes(
        self, num_tokens: int, dtype: torch.dtype = torch.float32
    ) -> int:
        """What forward keeps for backward, with an attention that keeps no scores.

        Each attention: input of its norm, output of the norm, queries, keys, values,
        output before and after the heads are joined. Each FFN: input of its norm, and
        its own. At the end the last norm, the logits and their log-softmax.
        """
        d = self.d_model
        attention = 2 * d + 3 * self.query_width + 2 * self.key_width
        kept = self.attentions * attention + self.num_layers * d
        kept += 2 * d + 2 * self.vocab_size
        layers = sum(f.activation_bytes(num_tokens, dtype) for f in self.layers)
        return num_tokens * kept * dtype.itemsize + layers

    def memory(
        self,
        num_tokens: int,
        dtype: torch.dtype = torch.float32,
        optimiser: str = "adam",
    ) -> Memory:
        """Of a training step: optimiser is "sgd", "momentum", "adam" or "none"."""
        activations = self.activation_bytes(num_tokens, dtype)
        return training_memory(self.total_parameters, activations, dtype, optimiser)

    def rows(self) -> list[tuple[str, int, int]]:
        """A table of the parameters: part, total, active; the sum comes last."""
        rows = [(part, *counts) for part, counts in self.parts().items()]
        return [*rows, ("sum", self.total_parameters, self.active_parameters)]

    def __str__(self) -> str:
        lines = [f"{part:12}{n:>20,}{m:>20,}" for part, n, m in self.rows()]
        return "\n".join([f"{'parameters':12}{'total':>20}{'active':>20}", *lines])
