"""Two levels of noisy top-k: choose groups of experts, then experts inside them.

Shazeer et al. (2017), "Outrageously Large Neural Networks", appendix B. Equation
numbers are the paper's.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from moe_lib.checks import require_count, require_top_k
from moe_lib.routers.noisy_top_k import (
    NoisyRouter,
    keep_top_k,
    probability_in_top_k,
)
from moe_lib.routers.token_choice import token_choice_table
from moe_lib.routing import Routing


class HierarchicalRouter(NoisyRouter):
    """``y = sum_i sum_j G_primary(x)_i G_i(x)_j E_ij(x)`` (12): A = T * k * k rows.

    A primary gate chooses k of a groups; each chosen group's own gate chooses k of
    its b experts; expert (i, j) is number i * b + j. All gates are noisy top-k gates
    that start at zero. A token's k * k choices stand in order of the primary choice,
    then of the secondary one, and weigh ``G_primary,i * G_i,j``.

    ``router_probs`` is the product of the two full softmaxes and ``router_logits``
    its logarithm (so the z-loss of this table is 0). `route` takes the gate's own
    logits instead: ``[T, a + a * b]``, first the a of the primary gate, then b for
    each group. ``expected_load`` is Load_H (14) in training, else counted demand.

    Args:
        d_model: width of the input.
        branching: (a, b), groups and experts in each.
        top_k: k, the same on both levels.

    Raises:
        ValueError: ``top_k`` exceeds a or b, and as in `Router`.
    """

    def __init__(
        self, d_model: int, branching: tuple[int, int], *, top_k: int = 2
    ) -> None:
        if not isinstance(branching, tuple | list) or len(branching) != 2:
            raise ValueError(
                f"branching={branching!r}: give two whole numbers, (groups, experts in"
                " each)"
            )
        groups, members = (require_count("branching", n) for n in branching)
        require_top_k(top_k, "the smaller of branching", min(groups, members))
        self.branching = (groups, members)
        super().__init__(d_model, groups * members)
        self.top_k = top_k

    @property
    def gate_width(self) -> int:
        """a + a * b: one logit for each group and one for each expert."""
        groups, members = self.branching
        return groups * (1 + members)

    def table(
        self, router_logits: Tensor, noisy_logits: Tensor, token_mask: Tensor | None
    ) -> Routing:
        groups, members = self._levels(noisy_logits)  # [T, a], [T, a, b]
        group, group_weight = keep_top_k(groups, self.top_k)  # [T, k]
        member, member_weight = keep_top_k(of_groups(members, group), self.top_k)
        expert = group.unsqueeze(2) * self.branching[1] + member  # [T, k, k]
        weight = group_weight.unsqueeze(2) * member_weight
        groups, members = self._levels(router_logits)
        members = members - members.logsumexp(dim=2, keepdim=True)  # log-softmax
        log_probs = (groups.log_softmax(dim=1).unsqueeze(2) + members).flatten(1)
        routing = token_choice_table(
            expert.flatten(1), weight.flatten(1), log_probs, log_probs.exp(), token_mask
        )
        demand = routing.demand_per_expert.to(log_probs.dtype)
        return dataclasses.replace(routing, expected_load=demand)

    def _levels(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Split the gate's ``[T, a + a*b]`` into ``[T, a]`` and ``[T, a, b]``."""
        groups, members = self.branching
        primary, secondary = values.split([groups, groups * members], dim=1)
        return primary, secondary.reshape(-1, groups, members)

    def expected_load(
        self,
        clean: Tensor,
        noisy: Tensor,
        spread: Tensor,
        expert_index: Tensor,
        token_mask: Tensor | None,
    ) -> Tensor:
        """Load_H(X)_ij = Load_primary(X)_i * Load_i(X_i)_j / |X_i|  (14), ``[E]``.

        X_i are the tokens that were sent to group i. The plain Load_i(X_i)_j would
        give the primary gate no gradient.
        """
        groups, members = self.branching
        chosen = expert_index.view(-1, self.top_k, self.top_k)
        group = chosen[:, :, 0] // members  # [T, k]
        levels = [self._levels(values) for values in (clean, noisy, spread)]
        primary = [level[0] for level in levels]
        secondary = [of_groups(level[1], group) for level in levels]  # [T, k, b]
        primary_stays = probability_in_top_k(*primary, group)  # [T, a]
        member_stays = probability_in_top_k(*secondary, chosen % members)  # [T, k, b]
        sent = torch.ones_like(member_stays[:, :, 0])  # [T, k]
        if token_mask is not None:
            real = token_mask.unsqueeze(1)
            primary_stays, sent = primary_stays.where(real, 0.0), sent.where(real, 0.0)
        rows, to = sent.flatten(), group.flatten()  # [T*k]: who is in which X_i
        sizes = sent.new_zeros(groups).index_add(0, to, rows).clamp(min=1)
        inside = member_stays.flatten(0, 1) * rows.unsqueeze(1)
        member_load = sent.new_zeros(groups, members).index_add(0, to, inside)
        per_token = primary_stays.sum(dim=0) / sizes  # an empty X_i has load 0
        return (per_token.unsqueeze(1) * member_load).flatten()


def of_groups(members: Tensor, group: Tensor) -> Tensor:
    """From ``[T, a, b]`` the rows of each token's own groups ``[T, k]``: [T, k, b]."""
    return members.gather(1, group.unsqueeze(2).expand(-1, -1, members.shape[2]))
