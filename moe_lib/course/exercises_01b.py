"""The exercises of chapter 1b, with their solutions and the mistakes they recognise."""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.course.cases import shares, tenths
from moe_lib.course.exercises import Exercise


def tree_responsibilities(top: Tensor, low: Tensor, density: Tensor) -> Tensor:
    joint = top[:, :, None] * low * density  # [T, I, J]
    return joint / joint.sum(dim=(1, 2), keepdim=True)


def _without_top(top: Tensor, low: Tensor, density: Tensor) -> Tensor:
    return tree_responsibilities(torch.ones_like(top), low, density)


def _within_group(top: Tensor, low: Tensor, density: Tensor) -> Tensor:
    joint = low * density
    return joint / joint.sum(dim=2, keepdim=True)


def _without_density(top: Tensor, low: Tensor, density: Tensor) -> Tensor:
    return top[:, :, None] * low


def _over_cases(top: Tensor, low: Tensor, density: Tensor) -> Tensor:
    joint = top[:, :, None] * low * density
    return joint / joint.sum(dim=0, keepdim=True)


def _tree_cases():
    draw = torch.Generator().manual_seed(1994)
    for t, i, j in ((1, 1, 2), (1, 2, 2), (2, 2, 2), (2, 2, 3), (5, 3, 2), (30, 2, 4)):
        low = shares(draw, t * i, j).reshape(t, i, j)
        yield shares(draw, t, i), low, tenths(draw, t, i, j).abs() + 0.1


def fit_expert(x: Tensor, y: Tensor, h: Tensor) -> Tensor:
    root = h.sqrt()[:, None]  # [T, 1]
    return torch.linalg.lstsq(root * x, root * y).solution


def _no_weights(x: Tensor, y: Tensor, h: Tensor) -> Tensor:
    return torch.linalg.lstsq(x, y).solution


def _no_root(x: Tensor, y: Tensor, h: Tensor) -> Tensor:
    return torch.linalg.lstsq(h[:, None] * x, h[:, None] * y).solution


def _one_side(x: Tensor, y: Tensor, h: Tensor) -> Tensor:
    return torch.linalg.lstsq(x, h[:, None] * y).solution


def _line_cases():
    draw = torch.Generator().manual_seed(17)
    for t, d, o in ((3, 2, 1), (4, 2, 1), (6, 2, 2), (40, 4, 3)):
        h = torch.randint(1, 10, (t,), generator=draw).double() / 10
        yield tenths(draw, t, d), tenths(draw, t, o), h


def allowed(totals: Tensor, margin: float) -> Tensor:
    return totals - totals.mean() <= margin


def _above_zero(totals: Tensor, margin: float) -> Tensor:
    return totals <= margin


def _both_sides(totals: Tensor, margin: float) -> Tensor:
    return (totals - totals.mean()).abs() <= margin


def _who_waits(totals: Tensor, margin: float) -> Tensor:
    return ~allowed(totals, margin)


def _total_cases():
    for row, margin in (
        ([3.0, 1.0], 0.5),
        ([3.0, 1.0], 1.0),
        ([100.0, 90.0, 80.0, 0.0], 20.0),
        ([10.0, 10.0, 10.0], 0.0),
        ([900.0, 30.0, 40.0, 30.0], 100.0),
    ):
        yield torch.tensor(row), margin


def reinforce_gradient(probs: Tensor, chosen: Tensor, losses: Tensor) -> Tensor:
    picked = torch.nn.functional.one_hot(chosen, probs.shape[1])  # [T, E]
    return losses[:, None] * (picked - probs)


def _no_normaliser(probs: Tensor, chosen: Tensor, losses: Tensor) -> Tensor:
    return losses[:, None] * torch.nn.functional.one_hot(chosen, probs.shape[1])


def _for_reward(probs: Tensor, chosen: Tensor, losses: Tensor) -> Tensor:
    return -reinforce_gradient(probs, chosen, losses)


def _of_p(probs: Tensor, chosen: Tensor, losses: Tensor) -> Tensor:
    p = probs.gather(1, chosen[:, None])
    return p * reinforce_gradient(probs, chosen, losses)


def _draw_cases():
    draw = torch.Generator().manual_seed(1992)
    for t, e in ((1, 2), (2, 2), (2, 3), (6, 3), (40, 5)):
        chosen = torch.randint(e, (t,), generator=draw)
        yield shares(draw, t, e), chosen, tenths(draw, t).abs() + 0.5


EXERCISES = [
    Exercise(
        "01b.1",
        title="the responsibilities of a tree",
        statement="The E-step, from gates and densities.",
        lines=2,
        hint=(
            "The chance of path i, j and of the target together is g_i * g_j|i * P_ij."
            " Divide by its sum over all leaves; top needs a third dimension first."
        ),
        solution=tree_responsibilities,
        cases=_tree_cases(),
        mistakes={
            "the top gate is missing from the product": _without_top,
            "that is h_j|i, normalised within the group: h_i is missing": _within_group,
            "those are the gates, before the target is seen": _without_density,
            "normalised over the cases (dim 0) instead of the leaves": _over_cases,
        },
        level="warm-up",
    ),
    Exercise(
        "01b.2",
        title="one expert's M-step",
        statement="The M-step of one expert.",
        lines=2,
        hint=(
            "A weighted square is a plain square of scaled rows: h * (y - Ux)^2 ="
            " (r * y - U (r * x))^2. Which r? Then torch.linalg.lstsq(...).solution."
        ),
        solution=fit_expert,
        cases=_line_cases(),
        mistakes={
            "all cases count alike: h is not used": _no_weights,
            "rows scaled by h count h squared; scale by its root": _no_root,
            "x must be scaled like y": _one_side,
        },
    ),
    Exercise(
        "01b.3",
        title="who may take cases, who must wait",
        statement="The rule of 2013: which experts may take cases?",
        lines=1,
        hint="Compare each total with the mean of all totals, plus the margin.",
        solution=allowed,
        cases=_total_cases(),
        mistakes={
            "the total is compared with the margin, not with the mean": _above_zero,
            "an expert that is behind must not wait: no absolute value": _both_sides,
            "those are the experts that wait; the others were asked for": _who_waits,
        },
    ),
    Exercise(
        "01b.4",
        title="the REINFORCE estimate for the logits",
        statement=(
            "The REINFORCE estimate of the gradient of each case's *loss* for the"
            " logits of its gate."
        ),
        lines=2,
        hint=(
            "d log p_z / d logit_k is 1 - p_k for the chosen expert and -p_k for the"
            " others. Each case's loss multiplies its row."
        ),
        solution=reinforce_gradient,
        cases=_draw_cases(),
        mistakes={
            "the logits that were not chosen get -p_k, not 0": _no_normaliser,
            "the sign is that of a reward; a loss is to be lowered": _for_reward,
            "the gradient of log p_z is meant, not that of p_z": _of_p,
        },
        level="pencil first",
    ),
]
