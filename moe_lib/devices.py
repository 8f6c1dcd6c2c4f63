"""Which device to train on, and what it can do."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch


def best_device(trial: Callable[[torch.device], None]) -> torch.device:
    """The GPU that torch uses, if it has one and that one passes; else the CPU.

    A GPU too old for the installed torch is reported as there and fails at its first
    kernel: the reason is told in a warning.

    Args:
        trial: computes something there; RuntimeError if it cannot be done.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    try:
        device = torch.device("cuda", torch.cuda.current_device())
        trial(device)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        warnings.warn(
            f"the GPU is left alone, since it fails ({reason}): everything runs on the"
            " processor; a torch for this GPU may help",
            stacklevel=2,
        )
        return torch.device("cpu")
    return device


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a CUDA device has bf16 products in its hardware (sm80 and later)."""
    return torch.cuda.get_device_capability(device) >= (8, 0)


def mixed_precision(device: torch.device) -> AbstractContextManager:
    """Inside, products are in bf16 where a GPU has them; weights and sums stay float32.

    On a CPU and on an older GPU nothing changes.
    """
    if device.type == "cuda" and multiplies_bfloat16(device):
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()
