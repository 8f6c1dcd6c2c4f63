"""The sizes that are measured, and the weights that all candidates share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Shape:
    """Sizes of one layer and one batch."""

    num_tokens: int = 2048
    num_experts: int = 8
    top_k: int = 2
    activation: str = "swiglu"
    d_model: int = 256
    d_ff: int = 1024

    @property
    def rows(self) -> int:
        """Assignments of a token to an expert: the rows that the experts see."""
        return self.num_tokens * self.top_k

    def __str__(self) -> str:
        return (
            f"T{self.num_tokens} E{self.num_experts} k{self.top_k} {self.activation}"
            f" {self.d_model}x{self.d_ff}"
        )


class Bank:
    """The weights and the input of one shape, from a fixed seed.

    gate: ``[E, d_model]``; w_in, w_gate: ``[E, d_model, d_ff]``; w_out:
    ``[E, d_ff, d_model]``; x: ``[T, d_model]``. The logits have variance 1, so the
    loads are uneven as chance makes them, and no expert is starved.
    """

    def __init__(self, shape: Shape, device: str, dtype: torch.dtype) -> None:
        maker = torch.Generator().manual_seed(0)

        def normal(*size: int, scale: float = 1.0) -> Tensor:
            values = torch.randn(size, generator=maker) * scale
            return values.to(device=device, dtype=dtype)

        e, d, f = shape.num_experts, shape.d_model, shape.d_ff
        self.shape, self.device, self.dtype = shape, device, dtype
        self.x = normal(shape.num_tokens, d)
        self.gate = normal(e, d, scale=d**-0.5)
        self.w_in = normal(e, d, f, scale=d**-0.5)
        self.w_gate = normal(e, d, f, scale=d**-0.5) if self.gated else None
        self.w_out = normal(e, f, d, scale=f**-0.5)

    @property
    def gated(self) -> bool:
        return self.shape.activation == "swiglu"
