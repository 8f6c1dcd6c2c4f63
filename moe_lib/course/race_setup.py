"""The setups of chapter 5's race: every router of the course, at one arithmetic.

The models are chapter 4's, as a decoder or with hidden bytes. A token that asks for k
experts meets k that are 1 / k as wide, of k times as many: all mixtures but the dense
gate have the same weights and multiply alike, their routers apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from moe_lib.accounting import FeedForward
from moe_lib.checks import require_positive
from moe_lib.course import switch_setup
from moe_lib.course.switch_setup import VOCABULARY, as_much_arithmetic
from moe_lib.language_modelling import AuxiliaryLosses
from moe_lib.losses import importance_loss, load_balancing_loss, load_loss
from moe_lib.routers import (
    ExpertChoiceRouter,
    GShardRouter,
    HashRouter,
    NoisyTopKRouter,
    SoftmaxGate,
    SwitchRouter,
    TopKRouter,
)

ROUTERS = (
    "dense",
    "dense gate",
    "noisy top-k",
    "GShard",
    "Switch",
    "expert choice",
    "hash",
    "top-k",
)
BALANCED = ("GShard", "Switch", "top-k")  # by the load balancing loss


@dataclass(frozen=True)
class Setup(switch_setup.Setup):
    """Chapter 4's setup with more routers.

    Args:
        router: one of `ROUTERS`. "dense gate" is 1991's, in which every expert serves
            every token; "top-k" is Mixtral's.
        num_experts, d_ff: E and the width of an expert (of a dense model: its width).
        experts_per_token: k, or expert choice's capacity factor c.
        cap: most experts of a token in expert choice; None: no cap.
        capacity_factor: of "Switch" and of "GShard", which counts both choices in. In
            evaluation there is room for all.
        masked: True, an encoder tells hidden bytes; False, a decoder the next ones.
        w_balance: coefficient of the load balancing loss of those that have it.
        w_importance, w_load: the losses of noisy top-k.
        cap_iterations: rounds of the capped programme's solver.
        The rest: as for chapter 4.
    """

    routers: ClassVar[tuple[str, ...]] = ROUTERS

    router: str = "Switch"
    experts_per_token: float = 1
    masked: bool = False
    cap: int | None = None
    cap_iterations: int = 100
    w_importance: float = 0.1
    w_load: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("experts_per_token", self.experts_per_token)

    @property
    def losses(self) -> AuxiliaryLosses:
        if self.router == "noisy top-k":
            return {importance_loss: self.w_importance, load_loss: self.w_load}
        if self.router in BALANCED:
            return {load_balancing_loss: self.w_balance}
        return {}

    @property
    def top_k(self) -> int:
        return round(self.experts_per_token)

    @property
    def feed_forward(self) -> FeedForward:
        """For the arithmetic: all that a token goes through, as one expert."""
        if self.dense:
            return FeedForward(self.d_model, self.d_ff)
        active = round(self.d_ff * self.experts_per_token)
        return FeedForward(self.d_model, active, num_experts=self.num_experts)

    def make_router(self) -> nn.Module:
        width, experts = self.d_model, self.num_experts
        match self.router:
            case "dense gate":
                return SoftmaxGate(width, experts)
            case "noisy top-k":
                return NoisyTopKRouter(width, experts, top_k=self.top_k)
            case "GShard":
                return GShardRouter(
                    width,
                    experts,
                    capacity_factor=self.capacity_factor,
                    eval_capacity_factor=experts / 2,
                )
            case "Switch":
                return SwitchRouter(
                    width,
                    experts,
                    capacity_factor=self.capacity_factor,
                    eval_capacity_factor=experts,
                )
            case "expert choice":
                return ExpertChoiceRouter(
                    width,
                    experts,
                    capacity_factor=self.experts_per_token,
                    max_experts_per_token=self.cap,
                    max_iterations=self.cap_iterations,
                )
            case "hash":  # a hidden byte and padding have an id of their own
                return HashRouter(width, experts, VOCABULARY + 1)
            case "top-k":
                return TopKRouter(width, experts, top_k=self.top_k)
        raise ValueError(f"router={self.router!r} has no experts to choose from")


def choosing(base: Setup, router: str, each: float, **changes: object) -> Setup:
    """``each`` experts of a token, at the base's weights and arithmetic.

    Args:
        base: with one expert of a token.
    """
    return base.but(
        router=router,
        experts_per_token=each,
        num_experts=round(base.num_experts * each),
        d_ff=round(base.d_ff / each),
        **changes,
    )


def field(base: Setup) -> dict[str, Setup]:
    """All that run in the race, by name.

    The dense gate has the base's number of experts, each of the width that is left:
    whoever asks everybody has few weights.
    """
    gate = base.but(
        router="dense gate",
        experts_per_token=base.num_experts,
        d_ff=base.d_ff // base.num_experts,
    )
    mixtures = {
        "dense gate": gate,
        "noisy top-2": choosing(base, "noisy top-k", 2),
        "GShard": choosing(base, "GShard", 2),
        "Switch": choosing(base, "Switch", 1),
        "expert choice": choosing(base, "expert choice", 2),
        "hash": choosing(base, "hash", 1),
        "Mixtral top-2": choosing(base, "top-k", 2),
    }
    most = max(mixtures.values(), key=lambda setup: setup.flops)
    return {"dense": as_much_arithmetic(most)} | mixtures
