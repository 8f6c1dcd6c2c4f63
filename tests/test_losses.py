"""The losses of 1991 against a loop over the cases, and their gradients."""

import math

import pytest
import torch

from moe_lib import losses
from moe_lib.losses import gradients_by_hand

LOSSES = {
    "cooperative": losses.cooperative_loss,
    "competitive": losses.competitive_loss,
    "likelihood": losses.mixture_likelihood_loss,
}


def sample(seed: int, t: int, e: int, d: int):
    draw = torch.Generator().manual_seed(seed)
    kinds = dict(generator=draw, dtype=torch.float64)
    return (
        torch.randn(t, e, d, **kinds),
        torch.randn(t, e, **kinds),
        torch.randn(t, d, **kinds),
    )


def by_loop(name, outputs, gates, targets):
    total = 0.0
    for o, p, d in zip(outputs.tolist(), gates.tolist(), targets.tolist(), strict=True):
        errors = [sum((a - b) ** 2 for a, b in zip(d, one, strict=True)) for one in o]
        if name == "cooperative":
            blend = [sum(pi * oi[k] for pi, oi in zip(p, o, strict=True))
                     for k in range(len(d))]  # fmt: skip
            total += sum((a - b) ** 2 for a, b in zip(d, blend, strict=True))
        elif name == "competitive":
            total += sum(pi * ei for pi, ei in zip(p, errors, strict=True))
        else:
            total -= math.log(
                sum(pi * math.exp(-ei / 2) for pi, ei in zip(p, errors, strict=True))
            )
    return total / len(targets)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 1), (7, 4, 5), (30, 8, 2)])
def test_loss_and_both_gradients(name, shape):
    outputs, logits, targets = sample(len(name) + sum(shape), *shape)
    o, z = outputs.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = LOSSES[name](o, z.softmax(-1), targets)
    assert loss.item() == pytest.approx(
        by_loop(name, outputs, logits.softmax(-1), targets), rel=1e-12
    )
    loss.backward()
    d_outputs, d_logits = gradients_by_hand(name, outputs, logits.softmax(-1), targets)
    assert (d_outputs - o.grad).abs().max() < 1e-10
    assert (d_logits - z.grad).abs().max() < 1e-10


def test_distant_targets_stay_finite():
    outputs, logits, targets = sample(0, 4, 3, 2)
    gates = logits.softmax(-1)
    loss = losses.mixture_likelihood_loss(outputs, gates, targets + 1e3)
    assert torch.isfinite(loss)
    assert torch.isfinite(losses.responsibilities(outputs, gates, targets + 1e3)).all()


def test_one_expert_makes_all_losses_the_squared_error():
    outputs, logits, targets = sample(1, 6, 1, 3)
    gates = logits.softmax(-1)
    squared = (outputs[:, 0] - targets).square().sum(-1).mean()
    assert torch.allclose(losses.cooperative_loss(outputs, gates, targets), squared)
    assert torch.allclose(losses.competitive_loss(outputs, gates, targets), squared)
    half = losses.mixture_likelihood_loss(outputs, gates, targets)
    assert torch.allclose(half, squared / 2)


def test_bad_input():
    outputs, logits, targets = sample(2, 6, 2, 3)
    with pytest.raises(ValueError, match=r"targets \[6, 2\] do not fit"):
        losses.competitive_loss(outputs, logits, targets[:, :2])
    with pytest.raises(ValueError, match="loss 'mean' is unknown: choose one of coop"):
        gradients_by_hand("mean", outputs, logits.softmax(-1), targets)
