"""The exercises of chapter 1, with their solutions and the mistakes they recognise."""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.course.cases import shares, tenths
from moe_lib.course.exercises import Exercise

SIZES = ((1, 2, 1), (2, 2, 1), (1, 3, 2), (2, 3, 1), (3, 2, 2), (5, 3, 2), (40, 8, 4))


def _cases(sizes=SIZES, away: float = 0.0):
    """``(outputs, gates, targets)``, the targets lifted by ``away``."""
    draw = torch.Generator().manual_seed(1991)
    for t, e, d in sizes:
        yield tenths(draw, t, e, d), shares(draw, t, e), tenths(draw, t, d) + away


def responsibilities(outputs: Tensor, gates: Tensor, targets: Tensor) -> Tensor:
    error = (targets.unsqueeze(1) - outputs).square().sum(-1)  # [T, E]
    joint = gates * torch.exp(-error / 2)
    return joint / joint.sum(-1, keepdim=True)


def _without_gates(outputs: Tensor, gates: Tensor, targets: Tensor) -> Tensor:
    return responsibilities(outputs, torch.ones_like(gates), targets)


def _without_half(outputs: Tensor, gates: Tensor, targets: Tensor) -> Tensor:
    error = (targets.unsqueeze(1) - outputs).square().sum(-1)
    joint = gates * torch.exp(-error)
    return joint / joint.sum(-1, keepdim=True)


def _over_tokens(outputs: Tensor, gates: Tensor, targets: Tensor) -> Tensor:
    error = (targets.unsqueeze(1) - outputs).square().sum(-1)
    joint = gates * torch.exp(-error / 2)
    return joint / joint.sum(0, keepdim=True)


def competitive_gradient(outputs: Tensor, gates: Tensor, targets: Tensor) -> Tensor:
    error = (targets.unsqueeze(1) - outputs).square().sum(-1)  # [T, E]
    average = (gates * error).sum(-1, keepdim=True)  # [T, 1]
    return gates * (error - average)


def _gate_only(outputs: Tensor, gates: Tensor, targets: Tensor) -> Tensor:
    return (targets.unsqueeze(1) - outputs).square().sum(-1)


def _no_average(outputs: Tensor, gates: Tensor, targets: Tensor) -> Tensor:
    return gates * _gate_only(outputs, gates, targets)


def _plain_average(outputs: Tensor, gates: Tensor, targets: Tensor) -> Tensor:
    error = _gate_only(outputs, gates, targets)
    return gates * (error - error.mean(-1, keepdim=True))


def stable_loss(outputs: Tensor, gates: Tensor, targets: Tensor) -> Tensor:
    error = (targets.unsqueeze(1) - outputs).square().sum(-1)  # [T, E]
    return -torch.logsumexp(gates.log() - error / 2, dim=-1)  # [T]


def _naive_loss(outputs: Tensor, gates: Tensor, targets: Tensor) -> Tensor:
    error = (targets.unsqueeze(1) - outputs).square().sum(-1)
    return -(gates * torch.exp(-error / 2)).sum(-1).log()


def _log_inside(outputs: Tensor, gates: Tensor, targets: Tensor) -> Tensor:
    error = (targets.unsqueeze(1) - outputs).square().sum(-1)
    return -(gates * (-error / 2)).sum(-1)


def alive_experts(gates: Tensor) -> int:
    return int((gates.mean(dim=0) > 0.05).sum())


def _any_case(gates: Tensor) -> int:
    return int((gates > 0.05).any(dim=0).sum())


def _winners(gates: Tensor) -> int:
    return len(gates.argmax(dim=-1).unique())


def _over_experts(gates: Tensor) -> int:
    return int((gates.mean(dim=1) > 0.05).sum())


def _gate_cases():
    yield (torch.tensor([[0.7, 0.3]]),)
    yield (torch.tensor([[0.92, 0.08], [1.0, 0.0]]),)
    yield (torch.tensor([[0.46, 0.48, 0.06]] * 3),)
    yield (torch.tensor([[1.0, 0.0]] + 30 * [[0.0, 1.0]]),)
    draw = torch.Generator().manual_seed(5)
    for t, e, sharp in ((50, 8, 3.0), (50, 4, 9.0)):
        tilt = sharp * torch.randn(e, generator=draw)
        yield ((tilt + torch.randn(t, e, generator=draw)).softmax(-1),)


EXERCISES = [
    Exercise(
        "01.1",
        title="the responsibilities of equation 1.5",
        statement="The responsibilities $h_i$ of equation 1.5.",
        lines=3,
        hint=(
            "Bayes' rule: prior times likelihood, divided by the sum over the experts."
            " The prior is the gate, the likelihood exp(-error / 2)."
        ),
        solution=responsibilities,
        cases=_cases(),
        mistakes={
            "the gate, the prior, is missing from the product": _without_gates,
            "the half in the exponent is missing": _without_half,
            "normalised over the tokens (dim 0) instead of the experts": _over_tokens,
        },
        level="warm-up",
    ),
    Exercise(
        "01.2",
        title="the gate's gradient under equation 1.2",
        statement=(
            "The gradient of one case's loss 1.2 with respect to the gate's *logits*."
        ),
        lines=3,
        hint=(
            "The softmax has d p_j / d x_i = p_j (1[i = j] - p_i). Sum error_j times"
            " that over j: every expert is compared with the average that the gate"
            " expects."
        ),
        solution=competitive_gradient,
        cases=_cases(),
        mistakes={
            "the gradient is with respect to p; go on through the softmax": _gate_only,
            "the comparison with the average error is missing": _no_average,
            "the average must be weighted by the gate": _plain_average,
        },
        level="pencil first",
    ),
    Exercise(
        "01.3",
        title="a likelihood that survives distant targets",
        statement=(
            "Put a target 60 units away and `three_losses` above answers infinity."
            " Write the loss 1.3 of each case so that it does not."
        ),
        lines=2,
        hint=(
            "Take the logarithm of each product first, log p - error / 2, and let"
            " torch.logsumexp add them up: it subtracts the largest one before exp."
        ),
        solution=stable_loss,
        cases=[*_cases(), *_cases(((1, 2, 1), (2, 2, 1), (3, 4, 2)), away=60.0)],
        mistakes={
            "exp underflows to 0 and its log is minus infinity": _naive_loss,
            "the log stands inside the sum: that is half of equation 1.2": _log_inside,
        },
    ),
    Exercise(
        "01.4",
        title="which experts are still alive",
        statement="The number of experts with a mean share above 5 %.",
        lines=1,
        hint="Average the gate over the cases first; then compare with 0.05.",
        solution=alive_experts,
        cases=_gate_cases(),
        mistakes={
            "an expert counts as alive for one case alone": _any_case,
            "averaged over the experts (dim 1) instead of the cases": _over_experts,
            "counted winners (argmax): a runner-up with 40 % is alive too": _winners,
        },
    ),
]
