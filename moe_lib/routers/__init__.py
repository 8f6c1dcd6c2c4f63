"""Routers, one file per idea; each answers with a `moe_lib.Routing`."""

from moe_lib.routers.causal_choice import SamePositionChoice, ThresholdChoice
from moe_lib.routers.expert_choice import ExpertChoiceRouter
from moe_lib.routers.gshard import GShardRouter
from moe_lib.routers.hash_router import HashRouter
from moe_lib.routers.hierarchical import HierarchicalRouter
from moe_lib.routers.noisy_top_k import NoisyTopKRouter
from moe_lib.routers.predicted_choice import PredictedChoice
from moe_lib.routers.router import Router, RouterGate
from moe_lib.routers.softmax_gate import SoftmaxGate
from moe_lib.routers.switch import SwitchRouter
from moe_lib.routers.top_k import TopKRouter

__all__ = [
    "ExpertChoiceRouter",
    "GShardRouter",
    "HashRouter",
    "HierarchicalRouter",
    "NoisyTopKRouter",
    "PredictedChoice",
    "Router",
    "RouterGate",
    "SamePositionChoice",
    "SoftmaxGate",
    "SwitchRouter",
    "ThresholdChoice",
    "TopKRouter",
]
