"""What bfloat16 does to a router: probabilities that err, tokens that change expert.

A bf16 number has 8 significant bits: rounding moves it by up to 1/256 of its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lib.checks import require_choice
from moe_lib.data.domain_text import DomainText, Span
from moe_lib.routers import SwitchRouter
from moe_lib.routers.choose import top_k_indices
from moe_lib.routers.router import Router
from moe_lib.routers.token_choice import token_choice_table
from moe_lib.routing import Routing
from moe_lib.running import evaluating
from moe_lib.training import Metrics, Objective

POLICIES = ("float32", "island", "bfloat16")
PROBED = 64  # windows of held-out text that a router is looked at on


def in_bfloat16() -> AbstractContextManager:
    """Inside, products are in bf16 and weights stay float32."""
    return torch.autocast("cpu", torch.bfloat16)


def trained_in_bfloat16(objective: Objective) -> Objective:
    """The objective with its forward pass in bf16; the loss stays float32."""

    def rounded(
        model: nn.Module, generator: torch.Generator
    ) -> Tensor | tuple[Tensor, Metrics]:
        with in_bfloat16():
            return objective(model, generator)

    return rounded


class Bfloat16Router(SwitchRouter):
    """A Switch router without the float32 island, as a warning.

    Logits, softmax, choice and weight are in bf16. The table holds the rounded values
    in float32, so the auxiliary losses add them up as precisely as ever.
    """

    def forward(
        self,
        x: Tensor,
        token_mask: Tensor | None = None,
        token_ids: Tensor | None = None,
    ) -> Routing:
        return self.route(bfloat16_logits(x, self.gate.weight), token_mask)

    def table(
        self, router_logits: Tensor, noisy_logits: Tensor, token_mask: Tensor | None
    ) -> Routing:
        probs = router_logits.bfloat16().softmax(dim=1).float()
        chosen = top_k_indices(probs, 1)
        capacity = self.slots.capacity(
            len(probs), self.num_experts, 1, training=self.training
        )
        weight = probs.gather(1, chosen)
        return token_choice_table(
            chosen, weight, router_logits, probs, token_mask,
            capacity=capacity, group_size=self.slots.group_size,
        )  # fmt: skip


def bfloat16_logits(x: Tensor, weight: Tensor) -> Tensor:
    """``x`` ``[T, d]`` times ``weight`` ``[E, d]``: ``[T, E]`` bf16."""
    with torch.autocast(x.device.type, enabled=False):
        return F.linear(x.bfloat16(), weight.bfloat16())


@dataclass(frozen=True, eq=False)
class Probe:
    """What a model's first router saw and did on fixed held-out text.

    x: ``[T, d]``, its input. weight: ``[E, d]``. routing: its table.
    """

    x: Tensor
    weight: Tensor
    routing: Routing

    @property
    def logits(self) -> Tensor:
        """``[T, E]``."""
        return self.routing.router_logits

    @property
    def choice(self) -> Tensor:
        """``[T]`` int64, each token's expert."""
        return self.routing.expert_index


def probe(model: nn.Module, text: DomainText, span: Span) -> Probe:
    """Look at the first router on `PROBED` held-out windows, spread over the domains.

    Raises:
        ValueError: the model has no router.
    """
    routers = [part for part in model.modules() if isinstance(part, Router)]
    if not routers:
        raise ValueError("the model has no router: give one with a MoE layer")
    windows = text.heldout_windows(span).flatten(0, 1)
    inputs, _ = span.split(windows[:: max(1, len(windows) // PROBED)])
    seen = []
    hook = routers[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        with evaluating(model):
            _, routings = model(inputs)
    finally:
        hook.remove()
    return Probe(seen[0], routers[0].gate.weight.detach().clone(), routings[0])


def probabilities(x: Tensor, weight: Tensor, policy: str) -> Tensor:
    """A router's softmax ``[T, E]``, in float32, computed in one of three ways.

    Args:
        x, weight: ``[T, d]`` and ``[E, d]``.
        policy: "float32"; "island", inputs and weight in bf16 but float32 from there
            on; "bfloat16", all in bf16.

    Raises:
        ValueError: an unknown policy.
    """
    require_choice("policy", policy, POLICIES)
    if policy == "bfloat16":
        return bfloat16_logits(x, weight).softmax(dim=1).float()
    if policy == "island":
        x, weight = x.bfloat16(), weight.bfloat16()
    return F.linear(x.float(), weight.float()).softmax(dim=1)


@dataclass(frozen=True, eq=False)
class Rounding:
    """What rounding changes. error: ``[T]``, the largest change of a probability.

    changed: ``[T]`` bool, whether another expert wins. margin: ``[T]``, p1 - p2 before.
    """

    error: Tensor
    changed: Tensor
    margin: Tensor


def compare(exact: Tensor, rounded: Tensor) -> Rounding:
    """Two softmaxes ``[T, E]`` of the same tokens, the first without rounding."""
    best = exact.topk(2, dim=1).values
    before, after = (top_k_indices(p, 1)[:, 0] for p in (exact, rounded))
    error = (rounded - exact).abs().amax(dim=1)
    return Rounding(error, before != after, best[:, 0] - best[:, 1])


def rounded_logits(logits: Tensor) -> Rounding:
    """What changes if logits ``[T, E]`` and their softmax are rounded to bf16."""
    rounded = logits.bfloat16().softmax(dim=1).float()
    return compare(logits.softmax(dim=1), rounded)


def by_scale(seen: Probe, scales: Sequence[float]) -> dict[str, list[Rounding]]:
    """Policy -> for each scale what rounding changes if the logits are that larger."""
    exact = [probabilities(seen.x, seen.weight * s, "float32") for s in scales]
    return {
        policy: [
            compare(p, probabilities(seen.x, seen.weight * s, policy))
            for p, s in zip(exact, scales, strict=True)
        ]
        for policy in POLICIES
    }
