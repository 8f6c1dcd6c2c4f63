"""Expert choice without a look at the future: two repairs for language models.

`ExpertChoiceRouter` compares a token with those after it. Here an expert compares a
token with the same position of other texts, or with a threshold that it has from
earlier batches (after Shazeer et al., 2017, appendix F). A third repair is in
`predicted_choice`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.checks import require_count, require_positive, require_share
from moe_lib.routers.choose import top_k_indices
from moe_lib.routers.router import Router
from moe_lib.routers.slots import SlotRule
from moe_lib.routers.token_choice import token_choice_table
from moe_lib.routing import Routing


class SamePositionChoice(Router):
    """Every expert takes its C best of the N tokens that stand at the same position.

    Tokens come text by text, ``length`` each, N texts: C = min(N, ceil(c * N / E)) at
    each position, A = length * E * C rows, by position, expert and rank. Nothing that
    stands later is looked at, but the other texts are: a text's output depends on its
    neighbours, and a text alone (N = 1) is taken by all E experts at every position.

    Args:
        d_model, num_experts: as in `Router`.
        length: tokens of a text. An attribute, since texts grow while they are
            written: set it to the length that the next call has.
        capacity_factor: c, experts for each token on average.

    Raises:
        ValueError: an argument out of range; T is not a multiple of ``length``.
    """

    def __init__(
        self,
        d_model: int,
        num_experts: int,
        *,
        length: int,
        capacity_factor: float = 2.0,
    ) -> None:
        super().__init__(d_model, num_experts)
        self.length = require_count("length", length)
        require_positive("capacity_factor", capacity_factor)
        self.slots = SlotRule(capacity_factor)

    def table(
        self, router_logits: Tensor, noisy_logits: Tensor, token_mask: Tensor | None
    ) -> Routing:
        num_tokens, num_experts = router_logits.shape
        length = self.length
        if num_tokens % length:
            raise ValueError(
                f"{num_tokens} tokens are no texts of length={length}: set the"
                " router's length to that of these texts"
            )
        texts = num_tokens // length
        slots = self.slots.capacity(texts, num_experts, 1, training=self.training)
        slots = min(texts, slots)
        scores = noisy_logits.softmax(dim=1)
        scores = scores.view(texts, length, num_experts).permute(1, 2, 0)  # [L, E, N]
        real = torch.ones_like(scores[:, :1], dtype=torch.bool)
        if token_mask is not None:
            real = token_mask.view(texts, length).t().unsqueeze(1)  # [L, 1, N]
        chosen = top_k_indices(scores.masked_fill(~real, -1.0), slots)  # [L, E, C]
        kept = real.expand_as(scores).gather(2, chosen)
        weights = scores.gather(2, chosen).where(kept, 0.0)
        device = chosen.device
        position = torch.arange(length, device=device).view(length, 1, 1)
        experts = torch.arange(num_experts, device=device).view(1, num_experts, 1)
        slot = position * slots + torch.arange(slots, device=device)  # [L, 1, C]
        return Routing(
            token_index=(chosen * length + position).flatten(),
            expert_index=experts.expand_as(chosen).flatten(),
            combine_weights=weights.flatten(),
            kept=kept.flatten(),
            position_in_expert=slot.expand_as(chosen).flatten(),
            router_logits=router_logits,
            router_probs=router_logits.softmax(dim=1),
            capacity=length * slots,
            token_mask=token_mask,
        )


class ThresholdChoice(Router):
    """Every expert takes all tokens whose score is at least its threshold.

    The threshold follows, batch by batch in training, the score of the expert's
    (c * T / E)-th best token, so an expert takes c * T / E tokens on average, but now
    more and now fewer. A batch meets the thresholds of those before it: nothing looks
    ahead, neither in training nor after it. A = T * E rows, token by token; those
    below the threshold are not kept, so "dropped" counts them.

    Args:
        d_model, num_experts: as in `Router`.
        capacity_factor: c, experts for each token on average.
        momentum: of the old threshold when a new batch is weighed in.

    Raises:
        ValueError: an argument out of range.
    """

    def __init__(
        self,
        d_model: int,
        num_experts: int,
        *,
        capacity_factor: float = 2.0,
        momentum: float = 0.9,
    ) -> None:
        super().__init__(d_model, num_experts)
        self.capacity_factor = require_positive("capacity_factor", capacity_factor)
        self.momentum = require_share("momentum", momentum)
        even = torch.full((num_experts,), 1 / num_experts)  # what all score at first
        self.register_buffer("threshold", even)

    def table(
        self, router_logits: Tensor, noisy_logits: Tensor, token_mask: Tensor | None
    ) -> Routing:
        scores = noisy_logits.softmax(dim=1)
        taken = scores.detach() >= self.threshold.to(scores.dtype)
        if self.training:
            self._follow(scores.detach(), token_mask)
        return taken_table(taken, scores, router_logits, token_mask)

    def _follow(self, scores: Tensor, token_mask: Tensor | None) -> None:
        """Move the thresholds towards those that this batch would have asked for."""
        if token_mask is not None:
            scores = scores[token_mask]
        if not len(scores):
            return
        share = min(1.0, self.capacity_factor / self.num_experts)
        wanted = scores.quantile(1 - share, dim=0)  # [E]
        self.threshold.lerp_(wanted.to(self.threshold.dtype), 1 - self.momentum)


def taken_table(
    taken: Tensor, scores: Tensor, router_logits: Tensor, token_mask: Tensor | None
) -> Routing:
    """All pairs of a token and an expert, kept where ``taken`` ``[T, E]``."""
    experts = torch.arange(scores.shape[1], device=scores.device).expand_as(scores)
    probs = router_logits.softmax(dim=1)
    return token_choice_table(
        experts, scores, router_logits, probs, token_mask, accepted=taken
    )
