import math

import pytest
import torch
from torch import nn

from moe_lib.data.domain_text import DomainText
from moe_lib.masked_modelling import evaluate_masked, masked_objective
from moe_lib.models.byte_tables import NO_BYTE

LENGTH = 64


def made_text(domains=2, length=30_000):
    draw = torch.Generator().manual_seed(0)
    shape = (domains, length)
    rows = [torch.randint(65, 91, shape, generator=draw).byte() for _ in range(2)]
    return DomainText(*rows, tuple("ab"[:domains]), ("",) * domains)


class Told(nn.Module):
    """Gives every hidden byte the same chance, or knows them all."""

    def __init__(self, answers=None):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.answers, self.seen = answers, []

    def forward(self, tokens):
        self.seen.append(tokens)
        logits = self.weight + torch.zeros(*tokens.shape, 256)
        if self.answers is not None:
            logits = logits + 50 * nn.functional.one_hot(self.answers, 256)
        return logits, []


def test_who_knows_nothing_needs_eight_bits_in_training_and_in_evaluation():
    text, model = made_text(), Told()
    objective = masked_objective(text, LENGTH, 16, {})
    loss, metrics = objective(model, torch.Generator().manual_seed(1))
    assert loss.item() == pytest.approx(math.log(256), abs=1e-5)
    assert metrics["bits_per_byte"].item() == pytest.approx(8, abs=1e-5)
    bits = evaluate_masked(model, text, LENGTH)
    assert torch.allclose(bits, torch.full((2,), 8.0), atol=1e-5)


def test_each_held_out_byte_is_hidden_once():
    text, model = made_text(), Told()
    evaluate_masked(model, text, LENGTH)
    hidden = sum((tokens == NO_BYTE).sum().item() for tokens in model.seen)
    assert hidden == 2 * 64 * 128
    assert all(0 < (t == NO_BYTE).float().mean() < 0.17 for t in model.seen)


def test_every_text_hides_a_byte_and_about_the_asked_share():
    text, model = made_text(), Told()
    objective = masked_objective(text, LENGTH, 200, {}, share=0.02)
    objective(model, torch.Generator().manual_seed(1))
    hidden = model.seen[0] == NO_BYTE
    assert hidden.any(dim=1).all()
    assert 0.015 < hidden.float().mean() < 0.035


def test_only_hidden_bytes_count():
    text = made_text(1)
    texts, _ = text.windows(4, LENGTH, torch.Generator().manual_seed(1))
    model = Told(texts)
    loss, _ = masked_objective(text, LENGTH, 4, {})(
        model, torch.Generator().manual_seed(1)
    )
    assert loss.item() < 1e-6
    wrong = (texts + 1).where(model.seen[0] != NO_BYTE, texts)
    loss, _ = masked_objective(text, LENGTH, 4, {})(
        Told(wrong), torch.Generator().manual_seed(1)
    )
    assert loss.item() < 1e-6


def test_a_share_outside_0_to_1_is_refused():
    with pytest.raises(ValueError, match=r"share=1\.5"):
        masked_objective(made_text(), LENGTH, 4, {}, share=1.5)
