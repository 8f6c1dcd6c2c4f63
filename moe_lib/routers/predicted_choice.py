"""Expert choice in training, a predictor of it afterwards.

After Raposo et al. (2024), "Mixture-of-Depths", on sampling.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lib.routers.causal_choice import taken_table
from moe_lib.routers.expert_choice import ExpertChoiceRouter
from moe_lib.routers.router import RouterGate
from moe_lib.routing import Routing


@dataclass(frozen=True, eq=False)
class PredictedRouting(Routing):
    """A routing with predictions.

    predicted: ``[T, E]`` float, log-odds that the expert takes the token.
    """

    predicted: Tensor | None = None


class PredictedChoice(ExpertChoiceRouter):
    """Expert choice in training; in evaluation a predictor says who would take whom.

    The predictor, two small layers, reads the token's log-probabilities, gradients
    stopped, and learns by `prediction_loss`; the model learns nothing from it. (The
    paper's reads the router's input.) In evaluation a table has A = T * E rows, token
    by token, kept where a taking is predicted: no token depends on another.

    Args:
        As for `ExpertChoiceRouter`; the options of evaluation and caps act in
        training mode alone.
    """

    def __init__(self, d_model: int, num_experts: int, **options: object) -> None:
        super().__init__(d_model, num_experts, **options)
        self.predictor = nn.Sequential(
            RouterGate(num_experts, 2 * num_experts),
            nn.ReLU(),
            RouterGate(2 * num_experts, num_experts),
        )

    def table(
        self, router_logits: Tensor, noisy_logits: Tensor, token_mask: Tensor | None
    ) -> PredictedRouting:
        predicted = self.predictor(noisy_logits.detach().log_softmax(dim=1))
        if self.training:
            found = super().table(router_logits, noisy_logits, token_mask)
        else:
            scores = noisy_logits.softmax(dim=1)
            found = taken_table(predicted > 0, scores, router_logits, token_mask)
        return PredictedRouting(**vars(found), predicted=predicted)


def prediction_loss(routing: PredictedRouting) -> Tensor:
    """Binary cross entropy of the predictions with what was taken, in nats, 0-d.

    The mean over experts and real tokens; for a routing made in training mode.
    """
    taken = taken_by(routing)
    nats = F.binary_cross_entropy_with_logits(
        routing.predicted, taken.to(routing.predicted.dtype), reduction="none"
    )
    if routing.token_mask is not None:
        nats = nats[routing.token_mask]
    return nats.sum() / max(1, nats.numel())


def taken_by(routing: Routing) -> Tensor:
    """``[T, E]`` bool, where an expert serves a token."""
    taken = torch.zeros_like(routing.router_probs, dtype=torch.bool)
    kept = routing.kept
    taken[routing.token_index[kept], routing.expert_index[kept]] = True
    return taken
