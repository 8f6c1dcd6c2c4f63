"""The toy of chapter 0: two regimes in one dimension, one net, two experts, a gate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moe_lib.losses import mixture_likelihood_loss
from moe_lib.models.adaptive_mixture import AdaptiveMixture, BackpropNet
from moe_lib.models.ensemble import Ensemble
from moe_lib.training import Trainer

NOISE, BORDER = 0.08, 0.5


@dataclass(frozen=True, eq=False)
class ToyFits:
    """What one net and one mixture made of S data sets.

    heights: ``[S]`` where the right-hand regime ends. x: ``[T]``, y: ``[S, T]``.
    grid: ``[G]``; net, mixture: ``[S, G]`` predictions; experts: ``[S, G, 2]``;
    gate: ``[S, G]`` share of expert B. net_error, mixture_error: ``[S]``, mean squared
    error on the noisy data.
    """

    heights: Tensor
    x: Tensor
    y: Tensor
    grid: Tensor
    net: Tensor
    mixture: Tensor
    experts: Tensor
    gate: Tensor
    net_error: Tensor
    mixture_error: Tensor


def two_regimes(heights: Tensor, num_points: int = 80, seed: int = 0):
    """``x`` ``[T]`` and ``y`` ``[S, T]``: one line up to 0.5, another one after it.

    The left line climbs from 0 to 0.6; the right one falls by 0.5 and ends at the given
    height. The noise is the same in every data set.
    """
    x = torch.linspace(0, 1, num_points)
    noise = torch.randn(num_points, generator=torch.Generator().manual_seed(seed))
    left = 1.2 * x
    right = heights[:, None] + 1.0 * (1 - x)
    return x, torch.where(x < BORDER, left, right) + NOISE * noise


def fit_toy(
    heights: Tensor, *, starts: int = 3, steps: int = 400, lr: float = 0.3
) -> ToyFits:
    """Fit both models to every height at once, from several starts; keep the best.

    The net has two sigmoid units and 7 weights; the mixture two straight lines and a
    gate, 8 weights.
    """
    x, y = two_regimes(heights)
    runs = len(heights) * starts
    inputs = ((x - 0.5) * 4).expand(runs, -1).unsqueeze(-1)  # [S * starts, T, 1]
    # in units of the noise, as the unit Gaussians of equation 1.3 expect
    targets = (y / NOISE).repeat_interleave(starts, dim=0).unsqueeze(-1)
    grid = torch.linspace(0, 1, 61)
    at = ((grid - 0.5) * 4).expand(runs, -1).unsqueeze(-1)
    pick = torch.arange(len(heights)) * starts

    net = _train(lambda: _scaled(BackpropNet(1, 2, 1, sigmoid=False)),
                 lambda member, a, d: 0.5 * (member(a) - d).square().sum(-1).mean(),
                 inputs, targets, steps, lr, "one net")  # fmt: skip
    mixture = _train(lambda: _scaled(AdaptiveMixture.linear(1, 1, 2, sigmoid=False)),
                     lambda member, a, d: mixture_likelihood_loss(*_pair(member(a)), d),
                     inputs, targets, steps, lr, "two experts")  # fmt: skip
    with torch.no_grad():
        nets = net.each(lambda m, a: m(a), inputs).squeeze(-1) * NOISE
        blends = mixture.each(lambda m, a: _blend(*_pair(m(a))), inputs) * NOISE
        truth = targets.squeeze(-1) * NOISE
        net_errors = (nets - truth).square().mean(dim=1).view(-1, starts)
        mix_errors = (blends - truth).square().mean(dim=1).view(-1, starts)
        best_net = pick + net_errors.argmin(dim=1)
        best_mix = pick + mix_errors.argmin(dim=1)
        net_curve = net.each(lambda m, a: m(a), at).squeeze(-1)[best_net] * NOISE
        outputs, gates = mixture.each(lambda m, a: _pair(m(a)), at)
        outputs, gates = outputs[best_mix].squeeze(-1) * NOISE, gates[best_mix]
    # expert A is the one that the gate prefers on the left
    swap = gates[:, 0, 0] < gates[:, 0, 1]
    outputs[swap], gates[swap] = outputs[swap].flip(-1), gates[swap].flip(-1)
    return ToyFits(
        heights, x, y, grid, net_curve, (outputs * gates).sum(-1), outputs,
        gates[..., 1], net_errors.min(dim=1).values, mix_errors.min(dim=1).values,
    )  # fmt: skip


def _train(make, loss, inputs, targets, steps, lr, label) -> Ensemble:
    model = Ensemble(make, range(len(inputs)))

    def objective(ensemble: nn.Module, _: torch.Generator) -> Tensor:
        return ensemble.each(loss, inputs, targets).sum()

    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    Trainer(model, objective, optimizer, label=label).run(steps, whole=True)
    return model


def _scaled(model: nn.Module) -> nn.Module:
    """Larger output weights at the start: the targets are in units of the noise."""
    last = model.output if isinstance(model, BackpropNet) else model.experts
    with torch.no_grad():
        last.weight.mul_(10)
    return model


def _pair(answer: tuple) -> tuple[Tensor, Tensor]:
    outputs, routing = answer
    return outputs, routing.router_probs


def _blend(outputs: Tensor, gates: Tensor) -> Tensor:
    return (gates.unsqueeze(-1) * outputs).sum(dim=1).squeeze(-1)
