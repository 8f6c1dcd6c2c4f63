"""A language model without memory: so many bytes in, one byte out.

After Bengio, Ducharme, Vincent and Jauvin (2003), "A Neural Probabilistic Language
Model". Its steps are cheap, and with d_ff no wider than d_model the feed-forward layer
is the bottleneck, so that what experts add shows within a minute.
"""

from __future__ import annotations

from torch import Tensor, nn

from moe_lib.models.byte_tables import ByteTables
from moe_lib.models.ffn import MakeFFN
from moe_lib.models.residual_ffn import ResidualFFN
from moe_lib.routing import Routing


class WindowMLP(nn.Module):
    """Byte tables, residual feed-forward layers, a softmax over 256 bytes.

    The window's bytes can be the 12 before the predicted one (``Span(12)``) or 6 on
    either side of it (``Span(6, after=6)``, a masked language model): the model only
    sees W bytes in order.

    Args:
        d_model: width.
        make_ffn: builds the FFN of layer 0, 1, ...: a `DenseFFN` or a `MoE`.
        num_layers: how many of them.
        width: W, bytes in a window.
    """

    def __init__(
        self,
        d_model: int,
        make_ffn: MakeFFN,
        *,
        num_layers: int = 2,
        width: int = 12,
    ) -> None:
        super().__init__()
        self.inputs = ByteTables(width, d_model)
        self.body = ResidualFFN(d_model, num_layers, make_ffn)
        self.head = nn.Linear(d_model, 256)

    def forward(self, windows: Tensor) -> tuple[Tensor, list[Routing]]:
        """``windows`` ``[N, W]`` int64 -> logits ``[N, 256]``, routings by layer.

        A `HashRouter` hashes the window's last byte.
        """
        h, routings = self.body(self.inputs.window(windows), windows[:, -1])
        return self.head(h), routings
