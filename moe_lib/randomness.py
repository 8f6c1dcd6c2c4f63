"""A run's own share of torch's global randomness."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class ModulesRandomness:
    """Dropout and router noise draw from torch's global generators; a run that is to
    repeat bit for bit needs them in a known state, and everybody else needs them left
    alone.

    Args:
        device: where the model is; its generator is looked after beside the CPU's.
        seed: of both.

    Attributes:
        states: of the generators, between one `in_force` and the next.
    """

    def __init__(self, device: torch.device, seed: int) -> None:
        self.cuda = [device] if device.type == "cuda" else []
        # Not the seed itself: with it dropout would replay the objective's own draws.
        self.states = [
            torch.Generator(place).manual_seed(seed + 1_000_003).get_state()
            for place in ["cpu", *self.cuda]
        ]

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Inside, modules draw from this run's states; after it all is as before."""
        with torch.random.fork_rng(self.cuda):
            torch.set_rng_state(self.states[0])
            for device, state in zip(self.cuda, self.states[1:], strict=True):
                torch.cuda.set_rng_state(state, device)
            try:
                yield
            finally:
                on_cuda = [torch.cuda.get_rng_state(device) for device in self.cuda]
                self.states = [torch.get_rng_state(), *on_cuda]
