"""Two tasks in one net, and in a mixture: what learning the one does to the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moe_lib.losses import mixture_likelihood_loss
from moe_lib.models.adaptive_mixture import AdaptiveMixture, BackpropNet
from moe_lib.models.ensemble import Ensemble
from moe_lib.training import Trainer

SCALE = 5  # both tasks are told apart by unit Gaussians only if they differ by over 1


@dataclass(frozen=True, eq=False)
class Interference:
    """Error on task A, ``[steps, S]``, while only task B is trained.

    Every model has learnt both tasks before. net: one network. weak: a mixture whose
    experts are straight lines, too weak for both tasks. strong: a mixture whose experts
    could each do both tasks alone.
    """

    net: Tensor
    weak: Tensor
    strong: Tensor

    def damage(self, name: str) -> Tensor:
        """Growth of the error on A in ``net``, ``weak`` or ``strong``, ``[S]``."""
        errors = getattr(self, name)
        return errors[-1] - errors[0]


def interference(
    *, seeds: Sequence[int] = range(20), learn: int = 300, relearn: int = 60
) -> Interference:
    """Learn tasks A and B together, then let B change its mind and watch A.

    A is ``z``, B is ``-z`` and later ``-z - 1``; a second input, -1 or 1, names the
    task. The net has 4 hidden units (17 weights), the mixture of two lines 12 weights
    with its gate, the mixture of two such nets 40.
    """
    z = torch.linspace(-1, 1, 40)
    a = torch.stack([z, -torch.ones_like(z)], dim=1)  # [40, 2]
    b = torch.stack([z, torch.ones_like(z)], dim=1)
    on_a, on_b = SCALE * z[:, None], -SCALE * z[:, None]

    def run(make: Callable[[], nn.Module], loss: Callable[..., Tensor]) -> Tensor:
        model = Ensemble(make, seeds)

        def objective(x: Tensor, d: Tensor) -> Callable:
            def value(ensemble: nn.Module, _: torch.Generator):
                with torch.no_grad():
                    errors = ensemble.each(lambda m: _answer(m(a)) - on_a) / SCALE
                per_seed = ensemble.each(lambda m: loss(m(x), d))
                return per_seed.sum(), {"a": errors.square().mean(dim=(1, 2))}

            return value

        both = objective(torch.cat([a, b]), torch.cat([on_a, on_b]))
        adam = torch.optim.Adam(model.parameters(), lr=0.1)
        trainer = Trainer(model, both, adam, label="both tasks")
        trainer.run(learn, whole=True)
        trainer.objective, trainer.label = objective(b, on_b - SCALE), "only task B"
        return trainer.run(learn + relearn, whole=True).history["a"][learn:]

    def net() -> nn.Module:
        return BackpropNet(2, 4, 1, sigmoid=False)

    def likelihood(y: tuple, d: Tensor) -> Tensor:
        return mixture_likelihood_loss(y[0], y[1].router_probs, d)

    return Interference(
        run(net, lambda y, d: 0.5 * (y - d).square().sum(-1).mean()),
        run(lambda: AdaptiveMixture.linear(2, 1, 2, sigmoid=False), likelihood),
        run(lambda: AdaptiveMixture(2, [net(), net()]), likelihood),
    )


def _answer(y: Tensor | tuple) -> Tensor:
    """The prediction ``[T, 1]`` of a net, or of a mixture."""
    if isinstance(y, Tensor):
        return y
    outputs, routing = y
    return (routing.router_probs.unsqueeze(-1) * outputs).sum(dim=1)
