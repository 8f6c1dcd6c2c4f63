"""Two experts, one hard gate: how good are the estimates, and what do they learn?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moe_lib.models.hard_gate import ESTIMATORS, Surrogate, enumerated, logit_gradient
from moe_lib.running import progress

CASES = 32


@dataclass(frozen=True, eq=False)
class GateSweep:
    """The slope of the mean loss for the gate's bias, as the bias moves.

    share: ``[P]`` probability of expert 1 in all cases. exact: ``[P]``.
    mean, spread: estimator -> ``[P]``, over draws.
    """

    share: Tensor
    exact: Tensor
    mean: dict[str, Tensor]
    spread: dict[str, Tensor]


def problem(seed: int) -> tuple[Tensor, Tensor]:
    """A batch of targets and two experts' answers: ``[T, 2, 1]``, ``[T, 1]`` float64.

    Expert 1 is nearer to the target in most cases, not in all.
    """
    draw = torch.Generator().manual_seed(seed)
    targets = torch.randn(CASES, 1, generator=draw, dtype=torch.float64)
    errors = torch.randn(CASES, 2, 1, generator=draw, dtype=torch.float64)
    return targets[:, None] + errors * torch.tensor([[1.2], [0.6]]), targets


def sweep_the_gate(seed: int = 0, *, points: int = 25, draws: int = 400) -> GateSweep:
    """Mean and spread of each estimate, for gates from "always 0" to "always 1"."""
    outputs, targets = problem(seed)
    draw = torch.Generator().manual_seed(seed + 1)
    share = torch.linspace(0.02, 0.98, points, dtype=torch.float64)
    logits = torch.stack([-share.logit(), torch.zeros_like(share)], dim=-1)  # [P, 2]
    logits = logits[:, None].expand(points, CASES, 2)

    def slope(surrogate: Surrogate, times: int) -> Tensor:  # [times, P]
        shape = (times, *logits.shape)
        gradient = logit_gradient(
            surrogate,
            logits.expand(shape),
            outputs.expand(*shape, 1),
            targets.expand(*shape[:-1], 1),
            draw,
        )
        return gradient[..., 1].mean(dim=-1)  # the bias is added to expert 1's logit

    estimates = {name: slope(s, draws) for name, s in ESTIMATORS.items()}
    return GateSweep(
        share,
        slope(enumerated, 1)[0],
        {name: e.mean(dim=0) for name, e in estimates.items()},
        {name: e.std(dim=0) for name, e in estimates.items()},
    )


@dataclass(frozen=True, eq=False)
class GateErrors:
    """Over S random problems, both relative to the exact gradient's length, ``[S]``."""

    bias: dict[str, Tensor]
    noise: dict[str, Tensor]


def estimator_errors(seeds: Sequence[int] = range(8), draws: int = 4000) -> GateErrors:
    """Distance of the mean estimate from the truth, and the size of its scatter."""
    bias = {name: [] for name in ESTIMATORS}
    noise = {name: [] for name in ESTIMATORS}
    for seed in seeds:
        outputs, targets = problem(seed)
        draw = torch.Generator().manual_seed(1000 + seed)
        logits = torch.randn(CASES, 2, generator=draw, dtype=torch.float64)
        many = (
            logits.expand(draws, CASES, 2),
            outputs.expand(draws, CASES, 2, 1),
            targets.expand(draws, CASES, 1),
        )
        exact = logit_gradient(enumerated, logits, outputs, targets, draw)
        for name, surrogate in ESTIMATORS.items():
            estimate = logit_gradient(surrogate, *many, draw)  # [draws, T, 2]
            bias[name].append((estimate.mean(dim=0) - exact).norm() / exact.norm())
            noise[name].append(estimate.std(dim=0).norm() / exact.norm())
    return GateErrors(
        {name: torch.stack(v) for name, v in bias.items()},
        {name: torch.stack(v) for name, v in noise.items()},
    )


def two_lines(size: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two straight pieces, border at 0.2, noise 0.1: ``[size, 1]`` float64 each."""
    x = 2 * torch.rand(size, 1, generator=draw, dtype=torch.float64) - 1
    y = torch.where(x < 0.2, 2 * x + 0.5, 0.3 - 1.5 * x)
    return x, y + 0.1 * torch.randn(size, 1, generator=draw, dtype=x.dtype)


def train_hard_gates(
    seeds: Sequence[int] = range(12),
    *,
    steps: int = 600,
    rates: Sequence[float] = (0.01, 0.03, 0.1),
    batch_size: int = 32,
) -> dict[str, Tensor]:
    """Two linear experts and a linear gate, all seeds at once; Adam.

    Returns:
        estimator -> ``[steps // 20 + 1, S]``: the test loss when the gate's favourite
        answers alone, at the step size that ends best on average.
    """
    results = {}
    with progress(len(ESTIMATORS), "hard gates") as bar:
        for name, surrogate in ESTIMATORS.items():
            losses = _train(surrogate, seeds, steps, rates, batch_size)
            best = losses[-1].mean(dim=1).argmin()  # [steps // 20 + 1, rates, S]
            results[name] = losses[:, best]
            bar.update()
    return results


def _train(
    surrogate: Surrogate, seeds: Sequence[int], steps: int, rates: Sequence[float],
    batch_size: int,
) -> Tensor:  # fmt: skip
    """All step sizes and seeds side by side: R times S small models in one tensor."""
    draws = [torch.Generator().manual_seed(s) for s in seeds]
    starts = torch.stack([torch.randn(4, 2, generator=d) for d in draws]).double()
    weights = [starts.clone().requires_grad_() for _ in rates]  # each [S, 4, E]
    groups = [{"params": [w], "lr": r} for w, r in zip(weights, rates, strict=True)]
    optimizer = torch.optim.Adam(groups)
    draw, models = torch.Generator().manual_seed(0), len(rates) * len(seeds)

    def parts(x: Tensor) -> tuple[Tensor, Tensor]:  # x [R*S, T, 1]
        gate_w, gate_b, line_w, line_b = torch.cat(weights).unsqueeze(2).unbind(dim=1)
        return x * gate_w + gate_b, (x * line_w + line_b).unsqueeze(-1)

    test = [v[None] for v in two_lines(1000, torch.Generator().manual_seed(99))]

    def hard_loss() -> Tensor:
        with torch.no_grad():
            logits, answers = parts(test[0])
            errors = (answers.squeeze(-1) - test[1]).square()
            pick = logits.argmax(dim=-1, keepdim=True)
            mean = errors.gather(-1, pick).mean(dim=(1, 2))
            return mean.view(len(rates), len(seeds))

    losses = [hard_loss()]
    for step in range(1, steps + 1):
        x, y = two_lines(models * batch_size, draw)
        x, y = (v.view(models, batch_size, 1) for v in (x, y))
        loss = surrogate(*parts(x), y, draw).mean(dim=1).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            losses.append(hard_loss())
    return torch.stack(losses)
