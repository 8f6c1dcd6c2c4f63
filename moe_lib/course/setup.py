"""What a chapter's first cell needs: device, profile, Colab."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from typing import Literal

import torch

PROFILES = ("quick", "full")


@dataclass(frozen=True)
class Course:
    """How this reader runs the course.

    device: where the larger models go. profile: "quick" fits in a chapter's 90
    seconds on two CPU cores; "full" takes the time that the text states.
    """

    device: torch.device
    profile: Literal["quick", "full"]

    def pick(self, *, quick: object, full: object) -> object:
        """The value for the profile in use."""
        return quick if self.profile == "quick" else full

    def __repr__(self) -> str:
        # the device is left out: text outputs must not differ between machines
        return f"course set up, profile {self.profile!r}"


def start(profile: str | None = None) -> Course:
    """Set up a chapter; give "full" here, or set MOE_LIB_PROFILE=full, for long runs.

    Small tensors are slower on two threads than on one, so torch is told to use one
    unless OMP_NUM_THREADS says otherwise.

    Raises:
        ValueError: an unknown profile name.
    """
    if profile is None:
        profile = os.environ.get("MOE_LIB_PROFILE", "quick")
    if profile not in PROFILES:
        raise ValueError(
            f"profile {profile!r} is unknown: choose {' or '.join(PROFILES)}"
        )
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _enable_colab_widgets()
    return Course(device, profile)


def _enable_colab_widgets() -> None:
    """Colab shows third-party widgets only after being asked to."""
    try:
        if importlib.util.find_spec("google.colab") is None:
            return
    except ModuleNotFoundError:  # not even a package named google
        return
    from google.colab import output

    output.enable_custom_widget_manager()
