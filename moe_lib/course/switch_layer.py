"""A router's layer: any version of it against the library, gradients included.

The router is Switch's unless another one is named. A version is a function of the
tokens ``[T, D]`` float32, the router's weight ``[E, D]``, the `Experts` and the
capacity factor. It gives the layer's output ``[T, D]``, 0 for dropped tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from moe_lib.activations import ACTIVATIONS
from moe_lib.course.table import Table
from moe_lib.experts import Experts
from moe_lib.layer import MoE
from moe_lib.models.ffn import DenseFFN
from moe_lib.routers import ExpertChoiceRouter, SwitchRouter
from moe_lib.routers.router import Router

Version = Callable[[Tensor, Tensor, Experts, float], Tensor]
#: d_model, E and the capacity factor -> a router of the library.
RouterOf = Callable[[int, int, float], Router]
PARTS = ("output", "gradient of the tokens", "of the router", "of the experts")
KINDS = ("plain", "ties", "C = 1", "T = 1", "one expert", "E = 1")
CLOSE = 1e-5  # float32: sums in another order


@dataclass(frozen=True, eq=False)
class Case:
    """A layer, its input and the gradient that comes back to its output.

    Tokens and router weights are quarters, so all logits are exact and ties are ties.
    """

    kind: str
    moe: MoE
    factor: float
    tokens: Tensor
    upstream: Tensor


def by_switch(d_model: int, num_experts: int, factor: float) -> Router:
    """Chapter 4's router."""
    return SwitchRouter(d_model, num_experts, capacity_factor=factor)


def by_expert_choice(d_model: int, num_experts: int, factor: float) -> Router:
    """Chapter 5's router."""
    return ExpertChoiceRouter(d_model, num_experts, capacity_factor=factor)


def random_cases(
    cases: int, seed: int = 2021, router_of: RouterOf = by_switch
) -> Iterator[Case]:
    """Of all `KINDS` in turn; in two of three, somebody is dropped (by Switch)."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        for i in range(cases):
            kind = KINDS[i % len(KINDS)]
            tokens = 1 if kind == "T = 1" else _whole(1, 16)
            experts = 1 if kind == "E = 1" else _whole(1, 8)
            factor = 1e-3 if kind == "C = 1" else _whole(1, 6) / 4
            width = _whole(1, 6)
            router = router_of(width, experts, factor)
            moe = MoE(router, Experts(experts, width, _whole(1, 8)))
            x = _quarters(tokens, width)
            with torch.no_grad():
                router.gate.weight.copy_(_quarters(experts, width))
                if kind == "ties":
                    router.gate.weight[1:] = router.gate.weight[0].clone()
                if kind == "one expert":
                    x[1:] = x[0].clone()
            yield Case(kind, moe, factor, x, torch.randn(tokens, width))


def _whole(low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, ()))


def _quarters(*shape: int) -> Tensor:
    return torch.randint(-8, 9, shape) / 4


def differences(
    *versions: Version, cases: int = 300, router_of: RouterOf = by_switch
) -> dict[str, Tensor]:
    """How far each version is from the library at most: name -> ``[4]``, see `PARTS`.

    A gradient that does not come is one of 0.
    """
    worst = {version.__name__: torch.zeros(4) for version in versions}
    for case in random_cases(cases, router_of=router_of):
        moe, factor = case.moe, case.factor
        expected = _found(case, lambda x, moe=moe: moe(x)[0])
        for version in versions:
            got = _found(
                case,
                lambda x, moe=moe, factor=factor, version=version: version(
                    x, moe.router.gate.weight, moe.experts, factor
                ),
            )
            far = [(a - b).abs().max() for a, b in zip(got, expected, strict=True)]
            worst[version.__name__] = worst[version.__name__].maximum(torch.stack(far))
    return worst


def _found(case: Case, layer: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Output and gradients, as `PARTS` says."""
    x = case.tokens.clone().requires_grad_()
    weights = list(case.moe.parameters())  # the router's comes first
    y = layer(x)
    if not y.requires_grad:
        y = y + 0 * x
    slopes = torch.autograd.grad(
        y, [x, *weights], case.upstream, allow_unused=True, materialize_grads=True
    )
    experts = torch.cat([slope.flatten() for slope in slopes[2:]])
    return [y.detach(), *slopes[:2], experts]


def differences_table(worst: dict[str, Tensor], cases: int = 300) -> Table:
    """A row for each version: the largest difference from the library's, by part."""
    rows = [[name, *(f"{far:.0e}" for far in parts)] for name, parts in worst.items()]
    off = sum(bool((parts > CLOSE).any()) for parts in worst.values())
    count = "1 version" if len(worst) == 1 else f"{len(worst)} versions"
    text = f"{count}, {cases:,} cases: {off} differ"
    return Table(["version", *PARTS], rows, text)


def dense_differences(cases: int = 60, seed: int = 1) -> tuple[int, int]:
    """Of layers with E = 1, how many are not the dense layer to the bit; of how many.

    Compared are the output and the gradients of the tokens and of all weights; and the
    router's gradient, which has to be 0. All activations, float32 and float64.
    """
    wrong = 0
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        for i in range(cases):
            kind = list(ACTIVATIONS)[i % len(ACTIVATIONS)]
            width, hidden, tokens = _whole(1, 24), _whole(1, 48), _whole(1, 40)
            dtype = (torch.float32, torch.float64)[i // 3 % 2]
            dense = DenseFFN(width, hidden, kind).to(dtype)
            router = SwitchRouter(width, 1, capacity_factor=1.0)
            # expert by expert, in plain torch: the others may add in another order
            moe = MoE(router, Experts(1, width, hidden, kind), backend="loop").to(dtype)
            moe.experts.load_state_dict(dense.expert.state_dict())
            x = torch.randn(tokens, width, dtype=dtype)
            upstream = torch.randn_like(x)
            one, all_weights = _bits(dense, x, upstream), _bits(moe, x, upstream)
            router_slope = all_weights.pop(2)
            same = all(map(torch.equal, one, all_weights))
            wrong += not (same and router_slope.eq(0).all())
    return wrong, cases


def _bits(layer: DenseFFN | MoE, x: Tensor, upstream: Tensor) -> list[Tensor]:
    """Output, gradient of ``x``, gradients of the weights in order."""
    x = x.clone().requires_grad_()
    y, _ = layer(x)
    slopes = torch.autograd.grad(y, [x, *layer.parameters()], upstream)
    return [y.detach(), *slopes]
