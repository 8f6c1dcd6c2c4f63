"""Bits per byte, auxiliary losses, and models that learn within 30 steps."""

import math

import pytest
import torch

from moe_lib.data.domain_text import DomainText, Span
from moe_lib.data.text import load_text
from moe_lib.experts import Experts
from moe_lib.language_modelling import (
    auxiliary_losses,
    evaluate,
    language_model_objective,
)
from moe_lib.layer import MoE
from moe_lib.losses import load_balancing_loss, router_z_loss
from moe_lib.models.ffn import DenseFFN
from moe_lib.models.lstm_lm import LSTMLanguageModel
from moe_lib.models.transformer import TransformerLM
from moe_lib.models.window_mlp import WindowMLP
from moe_lib.routers import NoisyTopKRouter, SwitchRouter
from moe_lib.schedules import warmup_then_linear
from moe_lib.training import Trainer


@pytest.fixture(scope="module")
def text():
    return load_text(max_bytes=400_000)


class Fixed(torch.nn.Module):
    """Says the same about every byte; counts what it is asked."""

    def __init__(self, probs):
        super().__init__()
        self.logits = torch.nn.Parameter(probs.log())
        self.asked, self.was_training = [], False

    def forward(self, inputs):
        self.asked.append(len(inputs))
        self.was_training |= self.training
        return self.logits.expand(len(inputs), 256), []


def switch(layer=0):
    return MoE(SwitchRouter(16, 4, capacity_factor=1.0), Experts(4, 16, 16))


def noisy(layer=0):
    return MoE(NoisyTopKRouter(16, 4, top_k=2), Experts(4, 16, 16))


def test_evaluation_is_the_mean_code_length_per_domain(text):
    torch.manual_seed(0)
    probs = torch.rand(256).add(0.1)
    probs = probs / probs.sum()
    model = Fixed(probs).train()
    bits = evaluate(model, text, Span(12), batch=1000)
    _, targets = Span(12).split(text.heldout_windows(Span(12)).flatten(0, 1))
    by_hand = -probs.log2()[targets.view(4, 8192)].mean(dim=1)
    torch.testing.assert_close(bits, by_hand)
    assert sum(model.asked) == 4 * 8192 and set(model.asked) == {1000, 768}
    assert model.training and not model.was_training


def test_evaluation_of_sequences_is_a_loop_over_them(text):
    torch.manual_seed(0)
    model = TransformerLM(256, 16, 2, 1, lambda _: DenseFFN(16, 16), max_length=64)
    span = Span(1, 64)
    bits = evaluate(model, text, span)
    for d, windows in enumerate(text.heldout_windows(span)):
        logits = model.eval()(windows[:, :-1])[0].log_softmax(dim=2)
        nats = -logits.gather(2, windows[:, 1:, None])
        assert bits[d].item() == pytest.approx(nats.mean().item() / math.log(2), 1e-5)


def test_evaluation_mixes_the_domains_in_each_batch(text):
    seen = []

    def model(inputs):
        seen.append(inputs[:, 0])
        return torch.zeros(len(inputs), 256), []

    module = torch.nn.Module()
    module.forward = model
    # each domain made of one byte, its own
    train = torch.arange(4, dtype=torch.uint8)[:, None].expand(4, 20_000).contiguous()
    made = DomainText(train, train, text.domains, text.sha256)
    torch.testing.assert_close(evaluate(module, made, Span(12)), torch.full((4,), 8.0))
    assert all(first.bincount(minlength=4).min() > 400 for first in seen)


def test_auxiliary_losses_are_summed_over_layers():
    torch.manual_seed(0)
    model = WindowMLP(16, switch)
    _, routings = model(torch.randint(256, (50, 12)))
    total, metrics = auxiliary_losses(
        routings, {load_balancing_loss: 0.5, router_z_loss: 0.0}
    )
    each = [load_balancing_loss(r) for r in routings]
    torch.testing.assert_close(total, 0.5 * (each[0] + each[1]))
    assert metrics["load_balancing_loss"].tolist() == [v.item() for v in each]
    assert metrics["router_z_loss"].shape == (2,)  # recorded though it has no weight
    assert auxiliary_losses([], {load_balancing_loss: 0.5}) == (0.0, {})


def test_the_objective_is_cross_entropy_plus_auxiliary_losses(text):
    torch.manual_seed(0)
    model = WindowMLP(16, switch)
    objective = language_model_objective(text, Span(12), 64, {load_balancing_loss: 0.1})
    loss, metrics = objective(model, torch.Generator().manual_seed(5))
    windows, _ = text.windows(64, 13, torch.Generator().manual_seed(5))
    logits, routings = model(windows[:, :12])
    nats = torch.nn.functional.cross_entropy(logits, windows[:, 12])
    extra = sum(0.1 * load_balancing_loss(r) for r in routings)
    torch.testing.assert_close(loss, nats + extra)
    torch.testing.assert_close(metrics["bits_per_byte"], nats / math.log(2))
    drops = torch.stack([r.drop_fraction for r in routings])
    assert torch.equal(metrics["drop_fraction"], drops) and drops.max() > 0
    dense = WindowMLP(16, lambda _: DenseFFN(16, 16))
    _, metrics = objective(dense, torch.Generator().manual_seed(5))
    assert set(metrics) == {"bits_per_byte"}


MODELS = {
    "window": (lambda ffn: WindowMLP(16, ffn), Span(12), 256),
    "masked": (lambda ffn: WindowMLP(16, ffn), Span(6, after=6), 256),
    "lstm": (lambda ffn: LSTMLanguageModel(256, 16, ffn), Span(1, 32), 8),
    "decoder": (
        lambda ffn: TransformerLM(256, 16, 2, 2, ffn, max_length=32, byte_width=4),
        Span(1, 32),
        8,
    ),
}


def trainer(name, text, ffn, seed=0):
    torch.manual_seed(3)
    build, span, size = MODELS[name]
    model = build(ffn)
    adam = torch.optim.AdamW(model.parameters(), lr=2e-2)
    return Trainer(
        model,
        language_model_objective(text, span, size),
        adam,
        scheduler=warmup_then_linear(adam, 30, warmup=3),
        clip_norm=1.0,
        seed=seed,
    )


@pytest.mark.parametrize("name", MODELS)
def test_loss_falls_in_30_steps(text, name):
    history = trainer(name, text, switch).run(30).history
    bits = history["bits_per_byte"]
    assert 7.5 < bits[0] < 9 and bits[-5:].mean() < 6.5
    layers = 1 if name == "lstm" else 2
    assert history["load_balancing_loss"].shape == (30, layers)
    assert history["drop_fraction"].shape == (30, layers)


@pytest.mark.parametrize("name", ["window", "lstm"])  # router noise; dropout as well
def test_resume_repeats_noise_and_dropout(text, name, tmp_path):
    whole = trainer(name, text, noisy).run(12)
    first = trainer(name, text, noisy).run(5)
    torch.rand(3)
    first.save(tmp_path / "run.pt")
    again = trainer(name, text, noisy, seed=8).load(tmp_path / "run.pt").run(12)
    assert torch.equal(whole.history["loss"], again.history["loss"])
    for a, b in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)
