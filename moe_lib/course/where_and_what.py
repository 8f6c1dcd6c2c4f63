"""Train the deep mixture of 2013 on shifted digits; ask what its experts follow."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from moe_lib.data.shifted_digits import ShiftedDigits
from moe_lib.models.deep_mixture import DeepMixture, RunningTotals
from moe_lib.specialisation import joint_table, mutual_information
from moe_lib.training import Trainer

EXPERTS = (4, 4)


@dataclass(frozen=True, eq=False)
class WhereWhat:
    """What one trained network does on the test digits, every digit at every place.

    where, what: for each layer, mutual information in nats of the largest gate with
    the place and with the digit; soft_where, soft_what: the same of the whole gate.
    share: ``[steps, layers, E]`` each expert's share of the batch, during training.
    places, digits: for each layer ``[S, E]`` and ``[10, E]``, the joint distributions.
    error: share of test images named wrongly.
    """

    where: tuple[float, ...]
    what: tuple[float, ...]
    soft_where: tuple[float, ...]
    soft_what: tuple[float, ...]
    share: Tensor
    places: tuple[Tensor, ...]
    digits: tuple[Tensor, ...]
    error: float

    @property
    def used(self) -> tuple[int, ...]:
        """For each layer, the experts that win more than 1 % of the test images."""
        return tuple(int((table.sum(dim=0) > 0.01).sum()) for table in self.digits)


def train_deep_mixture(
    train: ShiftedDigits,
    test: ShiftedDigits,
    *,
    margin: float = 100.0,
    seed: int = 0,
    steps: int = 800,
    lift: float = 0.5,
    batch_size: int = 128,
    lr: float = 0.15,
) -> WhereWhat:
    """Gradient descent with momentum, balanced for the first ``lift`` of the steps.

    Args:
        margin: m of the running totals, in cases; ``float("inf")`` = no balancing.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = DeepMixture(train.side**2, 10, num_experts=EXPERTS)
    totals, last = RunningTotals(EXPERTS, margin), round(lift * steps)
    balanced = margin < float("inf")

    def objective(net: nn.Module, draw: torch.Generator) -> tuple[Tensor, dict]:
        images, digit = train.draw(batch_size, draw)
        constrain = balanced and run.step < last
        logits, routings = net(images, totals.allowed() if constrain else None)
        totals.add(routings)
        share = torch.stack([r.dense().detach().mean(dim=0) for r in routings])
        return cross_entropy(logits, digit), {"share": share}

    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    kind = "balanced" if balanced else "unbalanced"
    run = Trainer(model, objective, optimizer, seed=seed, label=f"{kind}, seed {seed}")
    run.run(steps, whole=True)
    return measure(model, test, run.history["share"])


def untrained(test: ShiftedDigits, *, seed: int = 0) -> WhereWhat:
    """The same network before its first step: how much is there by chance."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = DeepMixture(test.side**2, 10, num_experts=EXPERTS)
    return measure(model, test, torch.zeros(0, len(EXPERTS), EXPERTS[0]))


@torch.no_grad()
def measure(model: DeepMixture, test: ShiftedDigits, share: Tensor) -> WhereWhat:
    """Ask a trained model about every test digit at every place."""
    images, digit, place = test.everything()
    logits, routings = model(images)
    gates = [r.router_probs for r in routings]
    return WhereWhat(
        where=tuple(mutual_information(g, place) for g in gates),
        what=tuple(mutual_information(g, digit) for g in gates),
        soft_where=tuple(mutual_information(g, place, hard=False) for g in gates),
        soft_what=tuple(mutual_information(g, digit, hard=False) for g in gates),
        share=share,
        places=tuple(joint_table(g, place) for g in gates),
        digits=tuple(joint_table(g, digit) for g in gates),
        error=(logits.argmax(dim=1) != digit).float().mean().item(),
    )
