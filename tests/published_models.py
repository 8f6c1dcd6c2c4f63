"""Models whose sizes are known from their papers."""

from __future__ import annotations

from moe_lib.accounting import FeedForward, Transformer

# Jiang et al. (2024), table 1, with grouped-query attention: 46,702,792,704 parameters,
# 12,879,925,248 of them active. Norms are counted (266,240 in all).
MIXTRAL_8X7B = Transformer(
    vocab_size=32000,
    num_layers=32,
    num_heads=32,
    num_kv_heads=8,
    head_dim=128,
    feed_forward=FeedForward(4096, 14336, "swiglu", num_experts=8, top_k=2),
)


def switch_base(num_experts: int) -> Transformer:
    """Switch-Base of Fedus et al. (2021): T5-Base with experts in every other block.

    12 blocks on each side, one table for input and output, and T5's relative positions:
    32 distances for each of 12 heads, on each side.
    """
    return Transformer(
        vocab_size=32128,
        num_layers=24,
        num_heads=12,
        feed_forward=FeedForward(
            768, 3072, num_experts=num_experts, capacity_factor=1.25
        ),
        moe_every=2,
        tied_embeddings=True,
        cross_attention_layers=12,
        position_parameters=2 * 32 * 12,
    )
