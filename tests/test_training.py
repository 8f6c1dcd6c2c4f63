"""The training loop: resume bit for bit, Ctrl-C, errors."""

import os
import signal

import pytest
import torch

from moe_lib.training import Trainer


def make(seed=0, keep=(), interrupt_at=None):
    """A noisy regression whose every step depends on the generator's state."""
    torch.manual_seed(seed)
    model = torch.nn.Linear(3, 2)
    calls = []

    def objective(model, generator):
        calls.append(0)
        if interrupt_at is not None and len(calls) == interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)  # what a notebook's stop button sends
        x = torch.randn(8, 3, generator=generator)
        loss = (model(x) - x[:, :2]).square().mean()
        return loss, {"twice": 2 * loss}

    adam = torch.optim.Adam(model.parameters(), lr=0.01)
    return Trainer(model, objective, adam, seed=seed, keep=keep)


def same(a: Trainer, b: Trainer) -> bool:
    weights = zip(a.model.parameters(), b.model.parameters(), strict=True)
    return all(torch.equal(x, y) for x, y in weights) and torch.equal(
        a.history["loss"], b.history["loss"]
    )


def test_interrupt_keeps_what_was_learnt_and_resume_is_bit_equal(capsys):
    before = signal.getsignal(signal.SIGINT)
    whole = make().run(40)
    stopped = make(interrupt_at=15).run(40)
    assert stopped.interrupted and stopped.step == 15  # the step in hand was finished
    assert "stopped by you at step 15 of 40" in capsys.readouterr().out
    assert len(stopped.history["loss"]) == 15
    assert torch.isfinite(stopped.model(torch.ones(1, 3))).all()
    assert not same(whole, stopped)
    stopped.run(40)
    assert not stopped.interrupted and same(whole, stopped)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_interrupt_breaks_in():
    trainer = make()

    def stubborn(model, generator):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("not reached")

    trainer.objective = stubborn
    with pytest.raises(KeyboardInterrupt):
        trainer.run(3)
    assert trainer.step == 0


def test_save_and_load_go_on_bit_for_bit(tmp_path):
    whole = make(keep=(0, 20, 30)).run(40)
    first = make(keep=(0, 20, 30)).run(25)
    first.save(tmp_path / "run.pt")
    again = make(seed=7, keep=(0, 20, 30)).load(tmp_path / "run.pt").run(40)
    assert same(whole, again)
    assert sorted(again.snapshots) == [0, 20, 30]
    assert torch.equal(again.snapshots[30]["weight"], whole.snapshots[30]["weight"])
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"]


def test_until_ends_early_and_history_has_every_metric():
    trainer = make().run(500, until=lambda metrics: metrics["loss"] < 0.5)
    assert trainer.history["loss"][-1] < 0.5
    assert (trainer.history["loss"][:-1] >= 0.5).all()
    assert torch.equal(trainer.history["twice"], 2 * trainer.history["loss"])


def test_snapshots_are_copies():
    trainer = make(keep=(0, 5)).run(10)
    assert sorted(trainer.snapshots) == [0, 5]
    assert not torch.equal(
        trainer.snapshots[5]["weight"], trainer.model.state_dict()["weight"]
    )


def test_nan_is_told_and_the_last_good_weights_stay():
    trainer = make().run(3)
    before = trainer.model.weight.detach().clone()
    trainer.objective = lambda model, _: model.weight.sum() * torch.nan
    with pytest.raises(ValueError, match="the loss is nan at step 3: lower the lear"):
        trainer.run(10)
    assert torch.equal(trainer.model.weight, before)


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match="steps=-1: give a whole number"):
        make().run(-1)
    with pytest.raises(ValueError, match="does not exist: save a run there first"):
        make().load(tmp_path / "nothing.pt")
