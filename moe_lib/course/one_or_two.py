"""One batch through a top-2 and a top-1 router: who is served, and what it costs.

Both have the same buffers: ``factor * tokens / E`` places at each expert, as Switch
counts, whatever k.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from moe_lib.routers import GShardRouter, SwitchRouter
from moe_lib.routing import Routing


@dataclass(frozen=True)
class Bill:
    """What one table of T tokens says of service and cost.

    Fields:
        tokens, num_experts, top_k: T, E and the choices of each token.
        places: of each expert. alone: tokens that no expert serves.
        late: choices that found their expert full. rows: choices that were kept.
    """

    tokens: int
    num_experts: int
    top_k: int
    places: int
    alone: int
    late: int
    rows: int

    @property
    def choices(self) -> int:
        """Of all tokens."""
        return self.top_k * self.tokens

    @property
    def arithmetic(self) -> float:
        """Of the experts, in dense layers as wide as one expert: rows per token."""
        return self.rows / self.tokens

    @property
    def padded(self) -> float:
        """The same where empty places are computed too: all places per token."""
        return self.num_experts * self.places / self.tokens

    @property
    def travelling(self) -> int:
        """Rows on the way, there and back, if all experts are on other machines."""
        return 2 * self.rows

    def payload(self, d_model: int, dtype: torch.dtype = torch.bfloat16) -> int:
        """Bytes of the rows that travel."""
        return self.travelling * d_model * dtype.itemsize


def route_both(logits: Tensor, factor: float) -> dict[str, Routing]:
    """The tables of both routers for the same ``logits`` ``[T, E]``.

    The library's factor counts all k choices in, so a top-2 router gets half of
    ``factor``. Nobody is declined by lot.
    """
    num_experts = logits.shape[1]
    routers = {
        "top-2": GShardRouter(
            1, num_experts, capacity_factor=factor / 2, second_expert_policy="all"
        ),
        "top-1": SwitchRouter(1, num_experts, capacity_factor=factor),
    }
    return {name: router.route(logits) for name, router in routers.items()}


def bill(routing: Routing) -> Bill:
    """What a table without padding costs.

    Raises:
        ValueError: a table without capacity.
    """
    if routing.capacity is None:
        raise ValueError("capacity is None: give the router a capacity_factor")
    asked, rows = len(routing.kept), int(routing.kept.sum())
    served = routing.token_index[routing.kept].unique()
    return Bill(
        tokens=routing.num_tokens,
        num_experts=routing.num_experts,
        top_k=asked // routing.num_tokens,
        places=routing.capacity,
        alone=routing.num_tokens - len(served),
        late=asked - rows,
        rows=rows,
    )
