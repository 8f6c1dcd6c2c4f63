"""What a chapter's first cell needs: device, profile, Colab."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from typing import Literal

import torch

from moe_lib.devices import best_device, mixed_precision

PROFILES = ("quick", "full")


@dataclass(frozen=True)
class Course:
    """How this reader runs the course.

    device: where the chapters train their language models; what is smaller, or only
    looks at a trained model, stays on the processor. profile: "quick" fits in a
    chapter's 90 seconds on two CPU cores; "full" takes the time that the text states.
    """

    device: torch.device
    profile: Literal["quick", "full"]

    def pick(self, *, quick: object, full: object) -> object:
        """The value for the profile in use."""
        return quick if self.profile == "quick" else full

    def __repr__(self) -> str:
        # the device is left out: text outputs must not differ between machines
        return f"course set up, profile {self.profile!r}"


def start(
    profile: str | None = None, *, device: torch.device | str | None = None
) -> Course:
    """Set up a chapter; give "full" here, or set MOE_LIB_PROFILE=full, for long runs.

    Small tensors are slower on two threads than on one, so torch is told to use one
    unless OMP_NUM_THREADS says otherwise.

    Args:
        device: where to train; None: a GPU that works if there is one, else "cpu".

    Raises:
        ValueError: an unknown profile name.
        RuntimeError: no such device.
    """
    if profile is None:
        profile = os.environ.get("MOE_LIB_PROFILE", "quick")
    if profile not in PROFILES:
        raise ValueError(
            f"profile {profile!r} is unknown: choose {' or '.join(PROFILES)}"
        )
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    device = torch.device(device) if device is not None else best_device(one_step)
    _enable_colab_widgets()
    return Course(device, profile)


def one_step(device: torch.device) -> None:
    """A step of a mixture's training, as the chapters do it there."""
    from moe_lib import MoE
    from moe_lib.experts import Experts
    from moe_lib.losses import load_balancing_loss
    from moe_lib.routers import SwitchRouter

    with torch.random.fork_rng(), mixed_precision(device):
        moe = MoE(SwitchRouter(16, 4, capacity_factor=1.25), Experts(4, 16, 32))
        y, routing = moe.to(device)(torch.randn(64, 16, device=device))
        loss = y.float().square().mean() + load_balancing_loss(routing)
    loss.backward()
    moe.router.gate.weight.grad.sum().item()


def _enable_colab_widgets() -> None:
    """Colab shows third-party widgets only after being asked to."""
    try:
        if importlib.util.find_spec("google.colab") is None:
            return
    except ModuleNotFoundError:  # not even a package named google
        return
    from google.colab import output

    output.enable_custom_widget_manager()
