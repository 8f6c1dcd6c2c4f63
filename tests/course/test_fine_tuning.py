"""Fine-tuning: where dropout goes, what is learnt, what the columns and claims say."""

import pytest
import torch

from moe_lib.course import measurements_04b_finetuning as long
from moe_lib.course.claims_04b_finetuning import fine_tuning_claims
from moe_lib.course.evidence import FAILS, HOLDS
from moe_lib.course.fine_tuning import (
    Classifier,
    FineTuning,
    fine_tune,
    judge,
    set_dropout,
)
from moe_lib.course.switch_setup import Setup
from moe_lib.data.tasks import load_task
from moe_lib.data.text import load_text
from moe_lib.experts import Experts
from moe_lib.figures.fine_tuning import GLUE, fine_tuning_figure
from moe_lib.layer import MoE
from moe_lib.models.ffn import DenseFFN

TINY = Setup(num_experts=4, d_model=16, d_ff=16, num_heads=2, steps=3, tokens=256)


@pytest.fixture(scope="module")
def task():
    return load_task("name to kind", max_per_class=30, test_share=0.5)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return TINY.build()


def test_expert_dropout_goes_to_the_experts_and_dropout_to_the_rest(model):
    set_dropout(model, 0.1, 0.4)
    mixtures = [m.experts for m in model.modules() if isinstance(m, MoE)]
    dense = [m.expert for m in model.modules() if isinstance(m, DenseFFN)]
    assert {m.expert_dropout for m in mixtures} == {0.4}
    assert {m.expert_dropout for m in dense} == {0.1}
    assert {block.dropout.p for block in model.stack.blocks} == {0.1}
    every = [m for m in model.modules() if isinstance(m, Experts)]
    assert len(every) == len(mixtures) + len(dense)
    for bad in ((1.0, 0.1), (0.1, -0.1)):
        with pytest.raises(ValueError, match="give a number from 0 to below 1"):
            set_dropout(model, *bad)


def test_padding_does_not_change_an_answer(model, task):
    classifier = Classifier(model, 4).eval()
    for module in model.modules():
        if isinstance(module, MoE):
            assert module.router.slots is not None
    examples = task.test
    width = examples.mask.sum(1).max()
    with torch.no_grad():
        wide, _ = classifier(examples.bytes[:8], examples.mask[:8])
        narrow, _ = classifier(examples.bytes[:8, :width], examples.mask[:8, :width])
        one = int(examples.mask[0].sum())
        alone, _ = classifier(examples.bytes[:1, :one], examples.mask[:1, :one])
    assert torch.allclose(wide, narrow, atol=1e-5)
    assert torch.allclose(wide[:1], alone, atol=1e-5)


def test_a_copy_learns_and_the_pre_trained_model_stays(model, task):
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    setting = FineTuning(dropout=0.0, steps=60, lr=0.01)
    tuned = fine_tune(model, task, setting, seed=1)
    after = model.state_dict()
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    assert tuned.train_accuracy > 0.5 > judge(Classifier(model, 4), task.train)[0]
    assert tuned.history["nats"].shape == (60,)
    again = fine_tune(model, task, setting, seed=1)
    assert again.test_loss == tuned.test_loss


def test_settings_out_of_range_are_refused():
    for bad in ({"dropout": 1}, {"expert_dropout": -0.1}, {"steps": 0}, {"batch": 0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            FineTuning(**bad)


def test_the_measurement_has_every_arm_task_and_number(monkeypatch, task):
    text = load_text(300_000)
    monkeypatch.setattr(long, "load_text", lambda size: text)
    monkeypatch.setattr(long, "load_task", lambda name, **how: task)
    config = {
        "bytes": 1, "base": TINY.config, "tasks": ["name to kind"], "examples": {},
        "arms": long.ARMS, "fine_tuning": FineTuning(steps=2).config,
    }  # fmt: skip
    found = long.measure_fine_tuning(config, [5])
    assert len(found) == 2 + len(long.ARMS) * len(long.JUDGED)
    columns = {name: torch.tensor(values) for name, values in found.items()}
    means = long.over_tasks(columns, "test loss")
    assert list(means) == list(long.ARMS)
    assert all(value.shape == (1,) for value in means.values())


def columns(better):
    """Three seeds of each arm; ``better``: arm -> points above the others."""
    table = {"dense: bits": torch.zeros(3)}
    for arm in long.ARMS:
        for k, name in enumerate(long.TASKS):
            for what in long.JUDGED:
                seeds = torch.tensor([0.50, 0.51, 0.52]) + 0.1 * k
                table[f"{arm}: {name}: {what}"] = seeds + better.get(arm, 0)
    return table


def test_each_claim_looks_at_its_own_arms():
    ids = ("M4.downstream", "M4.expert-dropout", "M4.more-dropout-hurts")
    arms = {
        "dense, d 0.1": "M4.downstream",
        "Switch, d 0.1, experts 0.4": "M4.expert-dropout",
        "Switch, d 0.3": "M4.more-dropout-hurts",
    }
    for arm, id in arms.items():
        for shift in (-0.2, 0.2):
            claims = fine_tuning_claims(columns({arm: shift}))
            assert tuple(claim.id for claim in claims) == ids
            higher = shift > 0
            expected = HOLDS if higher == (id == "M4.expert-dropout") else FAILS
            told = {claim.id: claim.verdict for claim in claims}
            assert told[id] == expected
            assert {told[other] for other in ids if other != id} == {"within noise"}


def test_the_figure_has_a_mark_for_each_seed_and_setting():
    fig = fine_tuning_figure(columns({"Switch, d 0.3": 0.2}))
    marks = [trace for trace in fig.data if trace.mode == "markers"]
    assert [len(trace.x) for trace in marks] == [3 * len(long.ARMS)] * 2
    told = " ".join(note.text for note in fig.layout.annotations)
    assert all(str(value) in told for value in GLUE.values())
    assert "Switch, d 0.3: 81.0 %" in fig.layout.meta["alt"]
