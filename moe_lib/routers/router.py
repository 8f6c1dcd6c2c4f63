"""What all routers share: a gate in float32, checks, and the order of the calls."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lib.checks import (
    require_count,
    require_finite,
    require_matrix,
    require_per_token,
)
from moe_lib.routing import Routing


class RouterGate(nn.Linear):
    """A linear layer that computes in float32 whatever the model's dtype.

    Selective precision (Fedus et al., 2021, section 2.4): bf16 logits change which
    experts win. float64 stays float64; autocast is switched off inside.
    """

    def forward(self, x: Tensor) -> Tensor:
        x = router_precision(x)
        weight = self.weight.to(x.dtype)
        bias = None if self.bias is None else self.bias.to(x.dtype)
        if x.is_meta:  # has no autocast to switch off
            return F.linear(x, weight, bias)
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x, weight, bias)


def router_precision(x: Tensor) -> Tensor:
    """``x`` in the dtype of router arithmetic: float64 stays, all else is float32."""
    return x if x.dtype == torch.float64 else x.float()


class Router(nn.Module):
    """Base of the routers: ``router(x)`` is ``router.route(router.gate(x))``.

    Args:
        d_model: width of the input.
        num_experts: E.
        bias: give the gate a bias (1991 only; later routers have none).

    Raises:
        ValueError: an argument is not a positive whole number; the input is not a
            float ``[T, d_model]``; the mask is not a bool ``[T]``; a logit is NaN or
            infinite.
    """

    def __init__(self, d_model: int, num_experts: int, *, bias: bool = False) -> None:
        super().__init__()
        self.d_model = require_count("d_model", d_model)
        self.num_experts = require_count("num_experts", num_experts)
        self.gate = RouterGate(d_model, self.gate_width, bias=bias)

    @property
    def gate_width(self) -> int:
        """How many logits the gate makes for a token: one for each expert."""
        return self.num_experts

    def forward(
        self,
        x: Tensor,
        token_mask: Tensor | None = None,
        token_ids: Tensor | None = None,
    ) -> Routing:
        """Route ``x`` ``[T, d_model]``.

        Args:
            token_mask: ``[T]`` bool, False for padding: such tokens take no slot,
                count in nothing, and get no output.
            token_ids: ``[T]`` int64; only `HashRouter` reads them.
        """
        require_matrix("x", x, self.d_model)
        return self.route(self.gate(x), token_mask)

    def route(
        self,
        router_logits: Tensor,
        token_mask: Tensor | None = None,
        *,
        noisy_logits: Tensor | None = None,
    ) -> Routing:
        """The table for ``router_logits`` ``[T, E]``; float32 unless given float64.

        Args:
            token_mask: as in the call of the router.
            noisy_logits: ``[T, E]``, the logits with the noise of training on them.
                Choice and weights come from these; ``router_logits`` and
                ``router_probs`` of the table stay clean.
        """
        clean = self._checked("router_logits", router_logits)
        noisy = clean
        if noisy_logits is not None:
            noisy = self._checked("noisy_logits", noisy_logits)
            if len(noisy) != len(clean):
                raise ValueError(
                    f"noisy_logits has {len(noisy)} rows but router_logits has"
                    f" {len(clean)}: give one row for each token"
                )
        require_per_token("token_mask", token_mask, len(clean), torch.bool)
        return self.table(clean, noisy, token_mask)

    def table(
        self, router_logits: Tensor, noisy_logits: Tensor, token_mask: Tensor | None
    ) -> Routing:
        """What a subclass answers once the arguments of `route` are checked."""
        raise NotImplementedError

    def _checked(self, name: str, logits: Tensor) -> Tensor:
        require_matrix(name, logits, self.gate_width)
        return require_finite(name, router_precision(logits))
