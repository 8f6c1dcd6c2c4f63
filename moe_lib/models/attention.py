"""Multi-head attention, over one's own sequence or over another."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from moe_lib.checks import require_count


class Attention(nn.Module):
    """``softmax(q k^T / sqrt(d_head)) v`` in H heads, without bias.

    Args:
        d_model: width of input and output.
        num_heads: H, a divisor of ``d_model``.
    """

    def __init__(self, d_model: int, num_heads: int) -> None:
        super().__init__()
        require_count("d_model", d_model)
        if d_model % require_count("num_heads", num_heads):
            raise ValueError(
                f"num_heads={num_heads}: give a divisor of d_model={d_model}"
            )
        self.num_heads = num_heads
        self.query = nn.Linear(d_model, d_model, bias=False)
        self.key_value = nn.Linear(d_model, 2 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
        *,
        causal: bool = False,
    ) -> Tensor:
        """Each of ``x`` ``[B, L, d]`` looks at ``memory`` ``[B, S, d]``.

        Args:
            memory: None: ``x`` itself.
            memory_mask: ``[B, S]`` bool, False for padding, which nobody sees.
            causal: position t sees 0..t only. Takes no mask: with its padding at the
                end, no real token sees any.
        """
        memory = x if memory is None else memory
        query = self._heads(self.query(x))
        key, value = map(self._heads, self.key_value(memory).chunk(2, dim=-1))
        mask = None if causal or memory_mask is None else memory_mask[:, None, None]
        y = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=causal
        )
        return self.out(y.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        """``[B, L, d]`` -> ``[B, H, L, d / H]``."""
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
