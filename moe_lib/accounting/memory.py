"""Bytes that training holds at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from moe_lib.checks import require_choice

STATES = {"none": 0, "sgd": 0, "momentum": 1, "adam": 2}  # per parameter


@dataclass(frozen=True)
class Memory:
    """Bytes of one training step that are alive together.

    Backward's temporaries come on top: a fifth to a third of gradients and activations
    in this library's layer on a CPU.

    Attributes:
        weights, gradients: in the model's dtype.
        optimiser: its states, in float32; with them, where the model is narrower, a
            float32 copy of the weights.
        activations: what forward keeps for backward.
    """

    weights: int
    gradients: int
    optimiser: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimiser + self.activations

    def __str__(self) -> str:
        parts = [*vars(self).items(), ("total", self.total)]
        return "\n".join(f"{name:12}{n / 2**30:10.3f} GiB" for name, n in parts)


def training_memory(
    parameters: int, activations: int, dtype: torch.dtype, optimiser: str
) -> Memory:
    """The four parts; ``optimiser`` is one of `STATES`, and "none" means no training.

    Without training there are no gradients, and nothing is kept for backward.

    Raises:
        ValueError: an unknown optimiser.
    """
    require_choice("optimiser", optimiser, tuple(STATES))
    weights = parameters * dtype.itemsize
    if optimiser == "none":
        return Memory(weights, 0, 0, 0)
    copies = STATES[optimiser] + (dtype.itemsize < 4)
    return Memory(weights, weights, 4 * copies * parameters, activations)
