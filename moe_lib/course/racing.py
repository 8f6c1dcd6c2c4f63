"""Models that train in turns and are judged at the same steps.

Whatever else the machine does then slows all of them alike.
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
        trainer: trains it.
        judge: what is known of the model now, name -> tensor of the same shape each
            time.

    Attributes:
        seconds: processor time of the training so far, judging left out.
    """

    def __init__(
        self, trainer: Trainer, judge: Callable[[], dict[str, Tensor]]
    ) -> None:
        self.trainer, self._judge = trainer, judge
        self.seconds = 0.0
        self._judged: list[dict[str, Tensor]] = []

    def go_on(self, step: int) -> None:
        """Train up to step ``step`` in all.

        Raises:
            KeyboardInterrupt: after the step in hand; half a run, compared with whole
                ones, misleads.
        """
        began = time.process_time()
        self.trainer.run(step)
        self.seconds += time.process_time() - began
        if self.trainer.interrupted:
            raise KeyboardInterrupt

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
