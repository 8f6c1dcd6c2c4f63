"""The experiments of chapters 0 and 1, small."""

import pytest
import torch

from moe_lib.course.interference import interference
from moe_lib.course.toy import NOISE, fit_toy
from moe_lib.course.vowel_race import STOP_AT, System, race
from moe_lib.course.vowel_tables import t_tests, table_1
from moe_lib.data.vowels import Scaler, load_vowels, split_by_speaker
from moe_lib.figures.gradients import who_learns_scene
from moe_lib.figures.toy import toy_scene
from moe_lib.figures.vowel_movie import territory_scene
from moe_lib.figures.vowel_race import race_figure, step_size_figure, survivors_figure
from moe_lib.losses import mixture_likelihood_loss
from moe_lib.models.adaptive_mixture import AdaptiveMixture
from moe_lib.training import Trainer
from moe_lib.widgets import check as validate

VOWELS = load_vowels()


def test_one_seed_of_the_race_equals_plain_gradient_descent():
    """The ensemble against the obvious loop: epochs, accuracy, gate."""
    result = race(System("4 experts", experts=4), VOWELS, seeds=[4, 9], lr=4.0)
    train, _ = split_by_speaker(VOWELS, seed=9)
    x = Scaler.of(train.formants)(train.formants).float()
    d = train.one_hot.float()
    torch.manual_seed(9)
    model = AdaptiveMixture.linear(2, 4, 4)
    sgd = torch.optim.SGD(model.parameters(), lr=4.0)
    epochs = 0
    while (model.blend(x) - d).square().mean() > STOP_AT:
        outputs, routing = model(x)
        loss = mixture_likelihood_loss(outputs, routing.dense(), d)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        epochs += 1
    assert abs(result.epochs[1].item() - epochs) <= 1
    right = (model.blend(x).argmax(1) == train.label).double().mean()
    assert abs(result.train[1] - right) < 0.01
    share = model.router(x).router_probs.mean(0)
    assert torch.allclose(result.gate_share[1], share, atol=0.01)


def test_runs_that_never_arrive_are_told_not_hidden():
    result = race(System("BP", hidden=6), VOWELS, seeds=range(3), max_epochs=5)
    assert result.epochs.isnan().all()
    assert "0 of 3" in table_1([result], {"BP": (1, 1, 1, 1)})._repr_html_()


def test_pictures_of_the_race():
    names = {"4 experts": dict(experts=4), "BP": dict(hidden=6)}
    results = [
        race(System(n, **kind), VOWELS, seeds=range(3), lr=8.0)
        for n, kind in names.items()
    ]
    fig = race_figure(results, {n: (100, 5) for n in names})
    shown = [list(trace.y) for trace in fig.data[:2]]
    assert shown == [r.epochs.tolist() for r in results]
    assert "4 experts: " in fig.layout.meta["alt"]
    assert len(step_size_figure({8.0: results}).data) == 2
    assert sum(int(n) for n in survivors_figure(results[:1]).data[0].text) == 3
    assert ">4 experts</td>" in t_tests(results)._repr_html_()


def test_territory_follows_the_gate():
    train, _ = split_by_speaker(VOWELS)
    x = Scaler.of(train.formants)(train.formants).float()
    d = train.one_hot.float()
    model = AdaptiveMixture.linear(2, 4, 3)

    def objective(model, _):
        outputs, routing = model(x)
        loss = mixture_likelihood_loss(outputs, routing.dense(), d)
        return loss, {"error": (model.blend(x) - d).square().mean().detach()}

    sgd = torch.optim.SGD(model.parameters(), lr=4.0)
    trainer = Trainer(model, objective, sgd, keep=(0, 60)).run(60)
    scene = territory_scene(train, {"1.3": trainer}, "Who rules where?")
    validate(scene)
    first, last = (state["panels"][0][0] for state in scene["states"][0])
    assert set(first["strength"]) == {"0"}  # an even gate prefers nobody
    assert len(set(last["owner"])) >= 2
    bars = scene["states"][0][1]["panels"][1][0]["value"]
    assert abs(sum(bars) - 1) < 1e-5

    # a run that was stopped early: the movie has the steps that both have
    whole = Trainer(model, objective, sgd, keep=(0, 60, 80)).run(80)
    both = territory_scene(train, {"1.3": trainer, "1.2": whole}, "Who rules where?")
    assert both["slider"]["values"] == ["0", "60"]
    with pytest.raises(ValueError, match="no snapshot in common"):
        never = Trainer(model, objective, sgd)
        territory_scene(train, {"1.3": trainer, "1.2": never}, "Who rules where?")


def test_who_learns():
    scene = who_learns_scene([-3.0, 0.0, 4.0], [1.5])
    validate(scene)
    pulls = [panel[1]["value"] for panel in scene["states"][0][0]["panels"]]
    assert max(pulls[0]) - min(pulls[0]) < 1e-12  # 1.1 pulls at all alike
    assert pulls[1].index(max(pulls[1])) == 0  # 1.2 at the worst
    assert pulls[2].index(max(pulls[2])) == 1  # 1.3 at the best


def test_toy_mixture_wins_where_there_are_two_regimes():
    fits = fit_toy(torch.tensor([-0.7, 0.1]), steps=400)
    assert fits.mixture_error[0] < 0.6 * fits.net_error[0]
    assert (fits.mixture_error < 3 * NOISE**2).all()
    assert fits.gate[0, 0] < 0.5 < fits.gate[0, -1]  # A rules on the left
    validate(toy_scene(fits))


def test_weak_experts_shield_a_task():
    result = interference(seeds=range(8))
    weak, net = result.damage("weak").median(), result.damage("net").median()
    assert weak < 0.5 * net
