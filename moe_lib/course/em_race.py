"""EM against gradient descent: on one model, and against back-propagation.

Jordan and Jacobs (1994) counted passes over the data: 35 for EM on a tree of experts,
5,500 for back-propagation, at about the same error of a simulated robot arm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moe_lib.data.made import robot_arm
from moe_lib.models.em_steps import with_bias
from moe_lib.models.ensemble import Ensemble
from moe_lib.models.hierarchical_mixture import HierarchicalMixture
from moe_lib.training import Trainer

Optimizer = Callable[..., torch.optim.Optimizer]


@dataclass(frozen=True, eq=False)
class Curves:
    """One way to learn, S starts: ``values`` ``[passes + 1, S]``, first untrained."""

    name: str
    values: Tensor

    def passes_to(self, level: Tensor | float, *, falling: bool = False) -> Tensor:
        """First pass at which each start is at ``level``; NaN where it never is. [S]"""
        there = self.values <= level if falling else self.values >= level
        first = there.double().argmax(dim=0).double()
        first[~there.any(dim=0)] = torch.nan
        return first


class _LogLikelihood(nn.Module):
    def __init__(self, model: HierarchicalMixture) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.model.log_likelihood(x, y)


def by_em(x: Tensor, y: Tensor, seeds: Sequence[int], iterations: int) -> Curves:
    """Log-likelihood of a two by two tree along EM."""
    curves = [
        HierarchicalMixture(1, 1, (2, 2), seed=s).fit(
            x, y, iterations, label=f"EM, start {s}"
        )
        for s in seeds
    ]
    return Curves("EM", torch.tensor(curves).T)


def by_descent(
    x: Tensor, y: Tensor, seeds: Sequence[int], steps: int, *, adam: bool, lr: float
) -> Curves:
    """The same trees, starts and likelihood, by full-batch gradient descent."""
    trees = Ensemble(
        lambda: _LogLikelihood(
            HierarchicalMixture(1, 1, (2, 2), seed=torch.initial_seed())
        ),
        seeds,
    )
    xs, ys = (v.expand(len(seeds), *v.shape) for v in (x, y))

    def objective(ensemble: nn.Module, _: torch.Generator) -> tuple[Tensor, dict]:
        values = ensemble.each(lambda m, a, b: m(a, b), xs, ys)  # [S]
        return -values.sum(), {"value": values}

    name = f"{'Adam' if adam else 'gradient descent'}, step {lr:g}"
    rule = torch.optim.Adam if adam else torch.optim.SGD
    run = Trainer(trees, objective, rule(trees.parameters(), lr=lr), label=name)
    run.run(steps, whole=True)
    with torch.no_grad():
        last = trees.each(lambda m, a, b: m(a, b), xs, ys)
    return Curves(name, torch.cat([run.history["value"], last[None]]))


@dataclass(frozen=True, eq=False)
class ArmTable:
    """Relative error on the test set (1 = always answering the mean).

    linear: ``[1]``; tree: EM on 4 x 4 experts; nets: back-propagation, by rule.
    """

    linear: Tensor
    tree: Curves
    nets: tuple[Curves, ...]


def arm_table(
    seeds: Sequence[int] = range(4), *, iterations: int = 35, steps: int = 400
) -> ArmTable:
    """Jordan and Jacobs' comparison on a two-joint arm: 1,500 cases, 500 to test."""
    x, y = robot_arm(2000)
    y = (y - y[:1500].mean(dim=0)) / y[:1500].std(dim=0)
    (x, x_test), (y, y_test) = x.split(1500), y.split(1500)

    def relative(answer: Tensor) -> Tensor:  # [..., T, 2] -> [...]
        spread = (y_test - y_test.mean(dim=0)).square().sum()
        return (answer.detach() - y_test).square().sum(dim=(-1, -2)) / spread

    line = torch.linalg.lstsq(with_bias(x), y).solution
    linear = relative(with_bias(x_test) @ line)[None]
    columns = []
    for seed in seeds:
        tree, column = HierarchicalMixture(6, 2, (4, 4), seed=seed), []
        for _ in range(iterations + 1):
            column.append(relative(tree(x_test)))
            tree.em_step(x, y, newton_steps=1)
        columns.append(torch.stack(column))
    tree_curves = Curves("EM, 16 experts", torch.stack(columns, dim=1))
    rules = (
        ("BP", torch.optim.SGD, 0.2, steps),
        ("BP, Adam", torch.optim.Adam, 0.01, steps // 2),
    )
    nets = tuple(
        _back_propagation(*rule, x, y, x_test, relative, seeds) for rule in rules
    )
    return ArmTable(linear, tree_curves, nets)


def _back_propagation(
    name: str, rule: Optimizer, lr: float, steps: int, x: Tensor, y: Tensor,
    x_test: Tensor, relative: Callable[[Tensor], Tensor], seeds: Sequence[int],
) -> Curves:  # fmt: skip
    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 40), nn.Tanh(), nn.Linear(40, 2))

    nets = Ensemble(make, seeds)
    everyone = [
        v.float().expand(len(seeds), *v.shape).contiguous() for v in (x, y, x_test)
    ]

    def objective(ensemble: nn.Module, _: torch.Generator) -> tuple[Tensor, dict]:
        answers = ensemble.each(lambda m, a: m(a), everyone[0])
        with torch.no_grad():
            tests = ensemble.each(lambda m, a: m(a), everyone[2])
        loss = (answers - everyone[1]).square().mean(dim=(1, 2)).sum()
        return loss, {"error": relative(tests)}

    run = Trainer(nets, objective, rule(nets.parameters(), lr=lr), label=name)
    return Curves(name, run.run(steps, whole=True).history["error"])
