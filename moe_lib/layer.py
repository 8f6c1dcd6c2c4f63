"""The mixture-of-experts layer: a router, experts, and the way between them."""

from __future__ import annotations

from torch import Tensor, nn

from moe_lib.checks import require_choice
from moe_lib.dispatch import BACKENDS, choose_backend, sorted_moe
from moe_lib.experts import Experts
from moe_lib.routing import Routing


class MoE(nn.Module):
    """``y, routing = moe(x)``: y_t = sum over its experts of weight * expert(x_t).

    Args:
        router: any of `moe_lib.routers`.
        experts: `Experts`; or your own module that maps rows ``[N, D]`` sorted by
            expert, and ``tokens_per_expert`` ``[E]``, to ``[N, D]``.
        backend: how tokens travel, a name of `moe_lib.dispatch.BACKENDS`: "loop",
            "one_hot", "blocks", "grouped", "padded" or "segments"; "auto" takes what
            `moe_lib.dispatch.choose_backend` finds fastest. All give the same numbers.

    Raises:
        ValueError: router and experts differ in number or width; an unknown backend;
            an input that is not float, ``[..., d_model]`` and finite.
    """

    def __init__(
        self, router: nn.Module, experts: nn.Module, *, backend: str = "auto"
    ) -> None:
        super().__init__()
        for name in ("num_experts", "d_model"):
            ours, theirs = getattr(router, name), getattr(experts, name, None)
            if theirs is not None and ours != theirs:
                raise ValueError(
                    f"the router has {name}={ours} but the experts have"
                    f" {name}={theirs}: build both with the same"
                )
        self.router, self.experts = router, experts
        self.backend = require_choice("backend", backend, ("auto", *BACKENDS))

    def forward(
        self,
        x: Tensor,
        token_mask: Tensor | None = None,
        token_ids: Tensor | None = None,
    ) -> tuple[Tensor, Routing]:
        """Map ``x`` ``[..., d_model]`` to ``(y, routing)``, y of the same shape.

        Tokens are numbered along the flattened leading dimensions.

        Args:
            token_mask: ``[...]`` bool, False for padding, whose output is 0.
            token_ids: ``[...]`` int64, for `HashRouter`.
        """
        flat = x.reshape(-1, x.shape[-1])
        told = (None if v is None else v.reshape(-1) for v in (token_mask, token_ids))
        routing = self.router(flat, *told)
        if not len(flat):
            return x.clone(), routing
        if not isinstance(self.experts, Experts):
            return sorted_moe(flat, routing, self.experts).view_as(x), routing
        flat = flat.to(self.experts.compute_dtype(flat))  # autocast's, if it is on
        backend = self.backend
        if backend == "auto":
            backend = choose_backend(flat, routing, self.experts)
        return BACKENDS[backend](flat, routing, self.experts).view_as(x), routing
