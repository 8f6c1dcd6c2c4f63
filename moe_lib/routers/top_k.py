"""Top-k as in Mixtral: softmax over the chosen k logits, and nothing is dropped.

Jiang et al. (2024), "Mixtral of Experts", section 2.1:
G(x) = Softmax(TopK(x W_g)), where TopK sets all but the k largest logits to -inf.
"""

from __future__ import annotations

from torch import Tensor

from moe_lib.checks import require_top_k
from moe_lib.routers.choose import top_k_indices
from moe_lib.routers.router import Router
from moe_lib.routers.token_choice import token_choice_table
from moe_lib.routing import Routing


class TopKRouter(Router):
    """Every token takes its k best experts: A = T * k rows, all of them kept.

    The weights are the full softmax, renormalised over the chosen k. With k = 1 that
    is always 1, and the output gives the router no gradient: use `SwitchRouter`.

    Args:
        d_model: width of the input.
        num_experts: E.
        top_k: k, experts for each token.

    Raises:
        ValueError: ``top_k`` > ``num_experts``, and as in `Router`.
    """

    def __init__(self, d_model: int, num_experts: int, *, top_k: int = 2) -> None:
        super().__init__(d_model, num_experts)
        self.top_k = require_top_k(top_k, "num_experts", num_experts)

    def table(
        self, router_logits: Tensor, noisy_logits: Tensor, token_mask: Tensor | None
    ) -> Routing:
        chosen = top_k_indices(noisy_logits, self.top_k)  # [T, k]
        weights = noisy_logits.gather(1, chosen).softmax(dim=1)
        probs = router_logits.softmax(dim=1)
        return token_choice_table(chosen, weights, router_logits, probs, token_mask)
