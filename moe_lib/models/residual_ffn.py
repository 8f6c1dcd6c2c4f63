"""The plainest body that a MoE layer fits in: residual feed-forward layers."""

from __future__ import annotations

from torch import Tensor, nn

from moe_lib.checks import require_count
from moe_lib.models.ffn import MakeFFN, only_routings
from moe_lib.routing import Routing


class ResidualFFN(nn.Module):
    """``x = x + FFN(LayerNorm(x))``, a few times, then a last LayerNorm.

    Args:
        d_model: width.
        num_layers: how many.
        make_ffn: builds the FFN of layer 0, 1, ...: a `DenseFFN` or a `MoE`.
    """

    def __init__(self, d_model: int, num_layers: int, make_ffn: MakeFFN) -> None:
        super().__init__()
        layers = range(require_count("num_layers", num_layers))
        self.norms = nn.ModuleList([nn.LayerNorm(d_model) for _ in layers])
        self.ffns = nn.ModuleList([make_ffn(layer) for layer in layers])
        self.last_norm = nn.LayerNorm(d_model)

    def forward(
        self, x: Tensor, token_ids: Tensor | None = None
    ) -> tuple[Tensor, list[Routing]]:
        """``x`` ``[N, d_model]``; ``token_ids`` ``[N]`` only for a `HashRouter`."""
        routings = []
        for norm, ffn in zip(self.norms, self.ffns, strict=True):
            y, routing = ffn(norm(x), None, token_ids)
            x = x + y
            routings.append(routing)
        return self.last_norm(x), only_routings(routings)
