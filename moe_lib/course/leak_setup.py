"""The models of chapter 5b's leak: a language model per way to choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from moe_lib.course import race_setup
from moe_lib.course.race_setup import choosing
from moe_lib.course.switch_setup import LENGTH
from moe_lib.language_modelling import AuxiliaryLosses
from moe_lib.routers import (
    ExpertChoiceRouter,
    PredictedChoice,
    SamePositionChoice,
    ThresholdChoice,
)
from moe_lib.routers.predicted_choice import prediction_loss

REPAIRS = ("same position", "threshold", "predictor")


@dataclass(frozen=True)
class Setup(race_setup.Setup):
    """The race's setup with expert choice "per text" and its three repairs."""

    routers: ClassVar[tuple[str, ...]] = (*race_setup.ROUTERS, "per text", *REPAIRS)

    @property
    def losses(self) -> AuxiliaryLosses:
        return {prediction_loss: 1.0} if self.router == "predictor" else super().losses

    def make_router(self) -> nn.Module:
        sizes, c = (self.d_model, self.num_experts), self.experts_per_token
        match self.router:
            case "per text":
                return ExpertChoiceRouter(*sizes, capacity_factor=c, group_size=LENGTH)
            case "same position":
                return SamePositionChoice(*sizes, capacity_factor=c, length=LENGTH)
            case "threshold":
                return ThresholdChoice(*sizes, capacity_factor=c)
            case "predictor":
                return PredictedChoice(*sizes, capacity_factor=c)
        return super().make_router()


def ways_to_choose(base: Setup) -> dict[str, Setup]:
    """By name; two experts of a token, or as many on average, at the same weights."""
    arms = {"Mixtral top-2": "top-k", "expert choice": "expert choice"}
    arms |= {"expert choice, per text": "per text"}
    arms |= {name: name for name in REPAIRS}
    return {name: choosing(base, router, 2) for name, router in arms.items()}
