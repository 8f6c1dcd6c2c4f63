"""Models in turns: the same as one after the other, each with its own stopwatch."""

import signal

import pytest
import torch
from torch import nn

from moe_lib.course.racing import Racer, race
from moe_lib.training import Trainer


def racer(seed, log):
    model = nn.Linear(3, 1)

    def objective(model, generator):
        log.append(seed)
        return model(torch.randn(4, 3, generator=generator)).square().mean()

    trainer = Trainer(
        model, objective, torch.optim.SGD(model.parameters(), lr=0.1), seed=seed
    )
    return Racer(trainer, lambda: {"steps": torch.tensor([trainer.step, seed])})


def test_turns_and_checkpoints():
    log = []
    both = {"a": racer(1, log), "b": racer(2, log)}
    race(both, (3, 5), turn=2)
    assert log == [1, 1, 2, 2, 1, 2, 1, 1, 2, 2]  # 2, then 1 up to the checkpoint, 2
    assert both["b"].judged["steps"].tolist() == [[3, 2], [5, 2]]
    seconds = both["a"].judged["seconds"]
    assert seconds.shape == (2,) and 0 < seconds[0] < seconds[1]
    assert seconds[1] == pytest.approx(both["a"].seconds)


def test_ctrl_c_ends_the_race(monkeypatch):
    one = racer(1, [])

    def pressed(model, generator):
        signal.raise_signal(signal.SIGINT)
        return next(model.parameters()).sum()

    monkeypatch.setattr(one.trainer, "objective", pressed)
    with pytest.raises(KeyboardInterrupt):
        race({"a": one}, (3,))
    assert one.trainer.step == 1 and one.seconds > 0


def test_bad_input():
    with pytest.raises(ValueError, match="turn=0"):
        race({}, (3,), turn=0)
