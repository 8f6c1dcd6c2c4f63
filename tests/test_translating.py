"""Translation: the objective, and what counts as right."""

import pytest
import torch

from moe_lib.data.characters import END, PADDING, START
from moe_lib.data.translation import load_translation
from moe_lib.experts import Experts
from moe_lib.layer import MoE
from moe_lib.losses import load_balancing_loss
from moe_lib.models.ffn import DenseFFN, moe_every
from moe_lib.models.transformer import EncoderDecoder
from moe_lib.routers import GShardRouter
from moe_lib.schedules import warmup_then_linear
from moe_lib.training import Trainer
from moe_lib.translating import (
    exact_matches,
    nats_per_character,
    translation_objective,
)


@pytest.fixture(scope="module")
def data():
    return load_translation({"fr": 300, "de": 100}, num_test=18)


def make(data):
    torch.manual_seed(0)

    def moe():
        return MoE(GShardRouter(16, 4, eval_capacity_factor=4.0), Experts(4, 16, 16))

    ffn = moe_every(2, moe, lambda: DenseFFN(16, 32))
    return EncoderDecoder(len(data.characters), 16, 2, 2, ffn, max_length=128)


def test_the_objective_counts_no_padding(data):
    model = make(data).eval()
    objective = translation_objective(data, 12, {load_balancing_loss: 0.1})
    loss, metrics = objective(model, torch.Generator().manual_seed(2))
    source, target, _ = data.draw(12, torch.Generator().manual_seed(2))
    told = target[:, :-1]
    logits, routings = model(source, told, source != PADDING, told != PADDING)
    picked = logits.log_softmax(dim=2).gather(2, target[:, 1:, None]).squeeze(2)
    nats = -picked[target[:, 1:] != PADDING].mean()
    torch.testing.assert_close(metrics["nats"], nats)
    extra = 0.1 * sum(load_balancing_loss(r) for r in routings)
    torch.testing.assert_close(loss, nats + extra)
    assert metrics["load_balancing_loss"].shape == (2,)  # one each side
    assert int(routings[0].demand_per_expert.sum()) <= 2 * int((source > 0).sum())


class Speller(torch.nn.Module):
    """Knows every target by heart, but gets the ``wrong`` ones' last letter wrong."""

    def __init__(self, pairs, vocabulary, wrong):
        super().__init__()
        self.vocabulary = vocabulary
        self.answers = {}
        for n in range(len(pairs)):
            target = pairs.target[n][pairs.target[n] != PADDING].clone()
            if n in wrong:
                target[-2] = 4 + (target[-2] - 3) % (vocabulary - 4)
            self.answers[self.key(pairs.source[n])] = target

    def key(self, source):
        return tuple(source[source != PADDING].tolist())

    def encode(self, source, mask):
        return source, []

    def decode(self, target, source, target_mask, source_mask):
        logits = torch.zeros(*target.shape, self.vocabulary)
        for row, known in enumerate(map(self.key, source)):
            answer = self.answers[known]
            place = min(target.shape[1], len(answer) - 1)
            logits[row, -1, answer[place]] = 1.0
        return logits, []


def test_exact_matches(data):
    wrong = {3, 17, 35}
    model = Speller(data.test, len(data.characters), wrong)
    right = exact_matches(model, data.test, batch=7)
    assert right.dtype == torch.bool and len(right) == 36
    assert {n for n, ok in enumerate(right.tolist()) if not ok} == wrong


def test_nats_are_those_of_each_pair_alone(data):
    model = make(data).train()
    nats = nats_per_character(model, data.test, batch=7)
    assert nats.shape == (36,) and model.training
    model.eval()
    for n in (0, 13, 35):  # one without padding, and without neighbours
        source, target, _ = data.test.batch(torch.tensor([n]))
        logits, _ = model(source, target[:, :-1])
        picked = logits.log_softmax(dim=2).gather(2, target[:, 1:, None])
        torch.testing.assert_close(nats[n], -picked.mean(), rtol=1e-4, atol=1e-4)


def test_loss_falls_in_30_steps(data):
    model = make(data)
    adam = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = warmup_then_linear(adam, 30, warmup=3)
    trainer = Trainer(
        model, translation_objective(data, 16), adam, scheduler=schedule, clip_norm=1.0
    )
    nats = trainer.run(30).history["nats"]
    assert nats[0] > 4.5 and nats[-5:].mean() < 3.7
    assert exact_matches(model, data.test).shape == (36,)


def test_start_and_end_are_where_the_decoder_wants_them(data):
    source, target, _ = data.draw(4, torch.Generator().manual_seed(0))
    assert (target[:, 0] == START).all() and ((target == END).sum(dim=1) == 1).all()
    assert not (source == START).any()
