"""The training loop: resume bit for bit, Ctrl-C, errors."""

import os
import signal

import pytest
import torch

from moe_lib.schedules import warmup_then_linear
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


def test_where_half_a_run_is_of_no_use_the_cell_ends(capsys):
    stopped = make(interrupt_at=15)
    with pytest.raises(KeyboardInterrupt, match=r"step 15 of 40\. Run this cell"):
        stopped.run(40, whole=True)
    assert same(stopped.run(40, whole=True), make().run(40))
    assert capsys.readouterr().out == ""


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


def make_noisy(seed=0):
    """A model with dropout, clipping and a schedule."""
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.Dropout(0.5),
                                torch.nn.Linear(16, 2))  # fmt: skip

    def objective(model, generator):
        x = torch.randn(8, 3, generator=generator)
        return (model(x) - x[:, :2]).square().mean()

    adam = torch.optim.Adam(model.parameters(), lr=0.1)
    schedule = warmup_then_linear(adam, 40, warmup=5)
    return Trainer(model, objective, adam, scheduler=schedule, clip_norm=0.5, seed=seed)


def test_modules_draw_from_the_runs_own_randomness(tmp_path):
    torch.manual_seed(11)
    whole = make_noisy().run(40)
    torch.manual_seed(22)  # what others draw changes nothing
    first = make_noisy().run(10)
    torch.rand(5)
    first.run(25).save(tmp_path / "run.pt")
    again = make_noisy(seed=9).load(tmp_path / "run.pt").run(40)
    assert same(whole, again) and same(whole, first.run(40))
    assert again.scheduler.get_last_lr() == whole.scheduler.get_last_lr()
    assert not same(whole, make_noisy(seed=1).run(40))


def test_a_run_leaves_the_global_randomness_alone():
    trainer = make_noisy()
    before = torch.get_rng_state()
    trainer.run(5)
    trainer.objective = lambda model, _: model(torch.ones(1, 3)).sum() * torch.nan
    with pytest.raises(ValueError, match="the loss is nan"):
        trainer.run(10)
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_does_not_replay_the_objectives_draws():
    drawn = {}

    def objective(model, generator):
        drawn["own"] = torch.rand(6, generator=generator)
        drawn["global"] = torch.rand(6)
        return model(drawn["own"][:3]).sum()

    model = torch.nn.Linear(3, 2)
    Trainer(model, objective, torch.optim.SGD(model.parameters(), lr=0.1)).run(1)
    assert not torch.equal(drawn["own"], drawn["global"])


def test_clipping_shortens_long_gradients_and_records_their_length():
    def run(clip_norm):
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2)
        sgd = torch.optim.SGD(model.parameters(), lr=1.0)
        start = torch.cat([p.detach().flatten().clone() for p in model.parameters()])
        trainer = Trainer(
            model, lambda m, _: 3 * m(torch.ones(1, 3)).sum(), sgd, clip_norm=clip_norm
        )
        norm = trainer.run(1).history.get("gradient_norm")
        end = torch.cat([p.detach().flatten() for p in model.parameters()])
        return norm, (start - end).norm().item()

    free, length = run(None)
    assert free is None
    norm, clipped = run(1.0)
    assert norm.shape == (1,) and norm.item() == pytest.approx(length, rel=1e-5)
    assert clipped == pytest.approx(1.0, rel=1e-4)
    assert run(100.0)[1] == pytest.approx(length, rel=1e-5)


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
    with pytest.raises(ValueError, match="clip_norm=0: give a positive number"):
        model = torch.nn.Linear(1, 1)
        adam = torch.optim.Adam(model.parameters())
        Trainer(model, None, adam, clip_norm=0)
    with pytest.raises(ValueError, match="does not exist: save a run there first"):
        make().load(tmp_path / "nothing.pt")
