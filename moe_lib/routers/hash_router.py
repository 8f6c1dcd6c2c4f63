"""Hash routing: the expert is a fixed function of the token's identity.

Roller, Sukhbaatar, Szlam and Weston (2021), "Hash Layers For Large Sparse Models":
random hash, and balanced hash from the frequencies of the tokens.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from moe_lib.checks import (
    require_count,
    require_finite,
    require_indices,
    require_matrix,
)
from moe_lib.routers.choose import top_k_indices
from moe_lib.routers.router import Router, router_precision
from moe_lib.routers.token_choice import token_choice_table
from moe_lib.routing import Routing


class HashRouter(Router):
    """One expert for each token, by its id: A = T rows, weight exactly 1.

    Nothing is learned: there is no gate, and nothing gives a gradient. The logits are
    0 for the chosen expert and -inf for the others, so that the probabilities are
    one-hot and the z-loss is 0.

    Args:
        d_model: width of the input (which the choice does not look at).
        num_experts: E.
        vocab_size: V; token ids are 0..V-1.
        seed: of the random map from ids to experts.
        counts: ``[V]``, how often each id occurs; then the map is balanced instead:
            ids in order of frequency, each to the expert with least work so far.

    Raises:
        ValueError: ``counts`` are not V numbers of at least 0; ``token_ids`` are
            missing or beyond the vocabulary (on CUDA by asynchronous assertion); and
            as in `Router`.
    """

    top_k = 1

    def __init__(
        self,
        d_model: int,
        num_experts: int,
        vocab_size: int,
        *,
        seed: int = 0,
        counts: Sequence[float] | Tensor | None = None,
    ) -> None:
        nn.Module.__init__(self)  # not Router's: there is no gate to make
        self.d_model = require_count("d_model", d_model)
        self.num_experts = require_count("num_experts", num_experts)
        self.vocab_size = require_count("vocab_size", vocab_size)
        if counts is None:
            draw = torch.Generator().manual_seed(seed)
            ids = (vocab_size,)
            experts = torch.randint(num_experts, ids, generator=draw, device="cpu")
        else:
            balanced = balanced_map(_checked_counts(counts, vocab_size), num_experts)
            experts = torch.tensor(balanced, device="cpu")
        place = torch.empty(vocab_size, dtype=torch.int64)  # where modules are made
        self.register_buffer("expert_of_token", place.copy_(experts))

    def forward(
        self,
        x: Tensor,
        token_mask: Tensor | None = None,
        token_ids: Tensor | None = None,
    ) -> Routing:
        """Route by ``token_ids`` ``[T]`` int64; the arguments are `Router`'s."""
        require_matrix("x", x, self.d_model)
        if token_ids is None:
            raise ValueError(
                "token_ids=None: HashRouter routes by them; give int64"
                f" [{len(x)}], one id for each token"
            )
        require_indices("token_ids", token_ids, len(x), self.vocab_size)
        expert = self.expert_of_token[token_ids].unsqueeze(1)  # [T, 1]
        scores = router_precision(x).new_zeros(len(x), self.num_experts)
        return self.route(scores.scatter(1, expert, 1.0), token_mask)

    def route(
        self,
        router_logits: Tensor,
        token_mask: Tensor | None = None,
        *,
        noisy_logits: Tensor | None = None,
    ) -> Routing:
        """The table in which each token takes its largest logit; -inf is welcome."""
        require_matrix("router_logits", router_logits, self.num_experts)
        best = router_logits.amax(dim=1, keepdim=True)
        require_finite("largest of router_logits", best)
        behind = (router_logits - best).clamp(min=-1.0)  # -inf has done its work
        return super().route(behind, token_mask)

    def table(
        self, router_logits: Tensor, noisy_logits: Tensor, token_mask: Tensor | None
    ) -> Routing:
        chosen = top_k_indices(noisy_logits, 1)  # [T, 1]
        probs = torch.zeros_like(router_logits).scatter(1, chosen, 1.0)
        one = probs.new_ones(chosen.shape)
        return token_choice_table(chosen, one, probs.log(), probs, token_mask)


def balanced_map(counts: Sequence[float], num_experts: int) -> list[int]:
    """The expert of each id: most frequent id first, each to the least busy expert.

    Ties go to the expert with fewer ids, then to the lower number; equally frequent
    ids go in order.
    """
    experts = [0] * len(counts)
    work = [(0, 0, expert) for expert in range(num_experts)]  # tokens, ids, expert
    for token in sorted(range(len(counts)), key=lambda token: -counts[token]):
        tokens, ids, expert = work[0]
        experts[token] = expert
        heapq.heapreplace(work, (tokens + counts[token], ids + 1, expert))
    return experts


def _checked_counts(counts: Sequence[float] | Tensor, vocab_size: int) -> list[float]:
    values = counts.tolist() if isinstance(counts, Tensor) else list(counts)
    if len(values) != vocab_size:
        raise ValueError(
            f"{len(values)} counts but vocab_size={vocab_size}: give one for each id"
        )
    bad = [value for value in values if not value >= 0]  # NaN too
    if bad:
        raise ValueError(f"counts hold {bad[0]!r}: give numbers of at least 0")
    return values
