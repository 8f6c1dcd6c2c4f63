"""Models that train in turns and are judged at the same steps.

Whatever else the machine does then slows all of them alike. A model may train on a
GPU; in between it is on the CPU, where everybody looks at it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from moe_lib.checks import require_count
from moe_lib.training import Trainer


class Racer:
    """A model on its way: a trainer, a stopwatch, and what was found so far.

    Args:
        trainer: trains it, where its model is now.
        judge: what is known of the model now, name -> tensor of the same shape each
            time.

    Attributes:
        seconds: of the training so far, judging left out; processor time, on a GPU
            time as such.
    """

    def __init__(
        self, trainer: Trainer, judge: Callable[[], dict[str, Tensor]] = dict
    ) -> None:
        self.trainer, self._judge = trainer, judge
        self._clock = (
            time.process_time if trainer.device.type == "cpu" else time.perf_counter
        )
        trainer.model.cpu()
        self.seconds = 0.0
        self._judged: list[dict[str, Tensor]] = []

    def go_on(self, step: int) -> None:
        """Train up to step ``step`` in all.

        Raises:
            KeyboardInterrupt: after the step in hand.
        """
        self.trainer.model.to(self.trainer.device)
        began = self._clock()
        try:
            self.trainer.run(step, whole=True)
        finally:
            self.seconds += self._clock() - began
            self.trainer.model.cpu()

    def judge(self) -> None:
        """Keep what is known now."""
        self._judged.append({"seconds": torch.tensor(self.seconds), **self._judge()})

    @property
    def judged(self) -> dict[str, Tensor]:
        """Of C times: "seconds" ``[C]``, and each name of ``judge`` ``[C, ...]``."""
        names = self._judged[0] if self._judged else ()
        return {name: torch.stack([at[name] for at in self._judged]) for name in names}


def race(
    racers: Mapping[str, Racer], checkpoints: Sequence[int], turn: int = 50
) -> None:
    """Train side by side, ``turn`` steps of one, then of the next.

    Args:
        checkpoints: steps at which all are judged; the last one ends the race.
    """
    require_count("turn", turn)
    done = 0
    while done < checkpoints[-1]:
        following = next(mark for mark in checkpoints if mark > done)
        done = min(done + turn, following)
        for racer in racers.values():
            racer.go_on(done)
            if done == following:
                racer.judge()
