"""Feed-forward layers of a model: dense ones that can stand wherever a `MoE` can."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from moe_lib.checks import require_count
from moe_lib.experts import Experts
from moe_lib.routing import Routing

MakeFFN = Callable[[int], nn.Module]
"""Builds the feed-forward part of layer number 0, 1, ...: a `DenseFFN` or a `MoE`."""


class DenseFFN(nn.Module):
    """One expert that sees every token; called and answering like a `MoE`.

    ``y, None = ffn(x)``: there is no routing.

    Args:
        d_model, d_ff, activation: as in `Experts`.
        dropout: share of hidden units set to zero in training.
        init_scale: as in `Experts`.
    """

    def __init__(
        self,
        d_model: int,
        d_ff: int,
        activation: str = "relu",
        *,
        dropout: float = 0.0,
        init_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.expert = Experts(
            1,
            d_model,
            d_ff,
            activation,
            expert_dropout=dropout,
            init_scale=init_scale,
        )

    def forward(
        self,
        x: Tensor,
        token_mask: Tensor | None = None,
        token_ids: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        """Map ``x`` ``[..., d_model]`` to ``(y, None)``; mask, ids change nothing."""
        return self.expert.one(0, x), None


def moe_every(
    n: int, make_moe: Callable[[], nn.Module], make_dense: Callable[[], nn.Module]
) -> MakeFFN:
    """A MoE in every n-th layer (the last of each n), dense ones between.

    GShard and Switch put one in every other layer: ``n = 2``.
    """
    require_count("n", n)
    return lambda layer: make_moe() if (layer + 1) % n == 0 else make_dense()


def only_routings(answers: list[Routing | None]) -> list[Routing]:
    """Without the ``None`` of dense layers."""
    return [routing for routing in answers if routing is not None]
