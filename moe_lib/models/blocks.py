"""The blocks of a transformer, with a dense FFN or a MoE in each."""

from __future__ import annotations

from torch import Tensor, nn

from moe_lib.checks import require_count
from moe_lib.models.attention import Attention
from moe_lib.models.ffn import MakeFFN, only_routings
from moe_lib.routing import Routing


class Block(nn.Module):
    """Pre-norm: ``x + Attention(LN x)``, then ``x + FFN(LN x)``.

    Args:
        d_model, num_heads: of the attention.
        ffn: a `DenseFFN` or a `MoE`.
        causal: position t sees 0..t only.
        cross: between the two, look at the memory of an encoder.
        dropout: share of each part's output set to zero in training.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        ffn: nn.Module,
        *,
        causal: bool,
        cross: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.causal, self.cross, self.ffn = causal, cross, ffn
        self.attention = Attention(d_model, num_heads)
        self.attention_norm = nn.LayerNorm(d_model)
        if cross:
            self.cross_attention = Attention(d_model, num_heads)
            self.cross_norm = nn.LayerNorm(d_model)
        self.ffn_norm = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        token_mask: Tensor | None,
        token_ids: Tensor,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
    ) -> tuple[Tensor, Routing | None]:
        """``x`` ``[B, L, d]``; masks False for padding; ids for a `HashRouter`."""
        y = self.attention_norm(x)
        y = self.attention(y, memory_mask=token_mask, causal=self.causal)
        x = x + self.dropout(y)
        if self.cross:
            y = self.cross_attention(self.cross_norm(x), memory, memory_mask)
            x = x + self.dropout(y)
        y, routing = self.ffn(self.ffn_norm(x), token_mask, token_ids)
        return x + self.dropout(y), routing


class Stack(nn.Module):
    """Blocks one after the other, and a last LayerNorm.

    Args:
        make_ffn: builds the FFN of block 0, 1, ...
        The rest: as for `Block`.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        num_layers: int,
        make_ffn: MakeFFN,
        *,
        causal: bool,
        cross: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        how = {"causal": causal, "cross": cross, "dropout": dropout}
        self.blocks = nn.ModuleList(
            Block(d_model, num_heads, make_ffn(layer), **how)
            for layer in range(require_count("num_layers", num_layers))
        )
        self.last_norm = nn.LayerNorm(d_model)

    def forward(
        self,
        x: Tensor,
        token_mask: Tensor | None,
        token_ids: Tensor,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
    ) -> tuple[Tensor, list[Routing]]:
        """The arguments of `Block`; returns ``[B, L, d]`` and the routings by layer."""
        routings = []
        for block in self.blocks:
            x, routing = block(x, token_mask, token_ids, memory, memory_mask)
            routings.append(routing)
        return self.last_norm(x), only_routings(routings)
