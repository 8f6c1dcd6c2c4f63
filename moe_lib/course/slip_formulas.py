"""The formulas of `published_slips`, each followed by what the library answers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from moe_lib.experts import Experts
from moe_lib.layer import MoE
from moe_lib.losses import load_balancing_loss
from moe_lib.routers import SwitchRouter
from moe_lib.routing import Routing


def _all_to(expert: int, tokens: int, experts: int) -> Tensor:
    """Logits ``[T, E]`` of tokens that are sure of one expert."""
    return 9.0 * torch.eye(experts)[expert].repeat(tokens, 1)


def _route(logits: Tensor, factor: float | None = 1.0) -> Routing:
    router = SwitchRouter(1, logits.shape[1], capacity_factor=factor)
    return router.route(logits)


def served(expert: int, tokens: int, experts: int) -> int:
    """How many the library serves if all want one expert, capacity factor 1."""
    return int(_route(_all_to(expert, tokens, experts)).kept.sum())


# Positions and capacity


def from_one() -> int:
    mask = one_hot(_all_to(0, 4, 2).argmax(1), 2)
    position = (mask.cumsum(0) * mask).sum(1)  # 1, 2, 3, 4
    return int((position < 2).sum())


def singleton_sum() -> int:
    mask = one_hot(_all_to(2, 40, 4).argmax(1), 4)[:, None]  # [T, 1, E]
    position = mask.cumsum(dim=1)  # of one row: every token is the first
    return int((mask * (position <= 10)).sum())


def bf16_places() -> int:
    return len(torch.ones(600, dtype=torch.bfloat16).cumsum(0).unique())


def different_places() -> int:
    router = SwitchRouter(4, 2, capacity_factor=2.0).bfloat16()
    torch.nn.init.zeros_(router.gate.weight)
    routing = router(torch.ones(600, 4, dtype=torch.bfloat16))
    return len(routing.position_in_expert.unique())


_NEGATIVE = torch.tensor([[-1.0, -2], [-2, -1], [-1, -2], [-2, -1]])


def ranked_against_0() -> int:
    chosen = one_hot(_NEGATIVE.argmax(1), 2).bool()
    scores = _NEGATIVE.where(chosen, 0.0)  # 0 for "not chosen" is the largest
    taken = torch.zeros_like(chosen).scatter(0, scores.topk(2, dim=0).indices, True)
    return int((taken & chosen).sum())


def served_when_negative() -> int:
    return int(_route(_NEGATIVE).kept.sum())


# Outputs


def _layer() -> tuple[MoE, Tensor]:
    """Two experts, a router that says 1/2 and 1/2, and 8 tokens ``[8, 4]``."""
    moe = MoE(SwitchRouter(4, 2, capacity_factor=0.5), Experts(2, 4, 8))
    torch.nn.init.zeros_(moe.router.gate.weight)
    return moe, torch.randn(8, 4)


@torch.no_grad()
def leaking() -> float:
    moe, x = _layer()
    y, routing = moe(x)
    p = routing.router_probs.amax(1, keepdim=True)
    leaked = torch.where(routing.kept[:, None], y, p * x)
    return leaked[2:].abs().max().item()


@torch.no_grad()
def dropped_output() -> float:
    moe, x = _layer()
    return moe(x)[0][2:].abs().max().item()


@torch.no_grad()
def gate_twice() -> float:
    moe, x = _layer()
    routing = moe.router(x)
    combine = routing.dense()[:, :1]  # p where kept, for expert A
    dispatch = combine  # "a mask" that was never made one
    y = combine * moe.experts.one(0, dispatch * x)
    return _in_halves(moe, x, y)


@torch.no_grad()
def gate_once() -> float:
    moe, x = _layer()
    return _in_halves(moe, x, moe(x)[0])


def _in_halves(moe: MoE, x: Tensor, y: Tensor) -> float:
    """The first token's output, in halves of what expert A makes of it."""
    whole = moe.experts.one(0, x[:1])
    return (2 * (y[:1] * whole).sum() / whole.square().sum()).item()


# The router


def _logits_and_values() -> tuple[Tensor, Tensor]:
    return torch.randn(7, 4, requires_grad=True), torch.randn(7)


def renormalised_slope() -> float:
    logits, values = _logits_and_values()
    best = logits.softmax(1).amax(1, keepdim=True)
    weights = (best / best.sum(1, keepdim=True))[:, 0]
    return torch.autograd.grad((weights * values).sum(), logits)[0].abs().max().item()


def slope() -> float:
    logits, values = _logits_and_values()
    weights = _route(logits, None).combine_weights
    return torch.autograd.grad((weights * values).sum(), logits)[0].abs().max().item()


_CLOSE = torch.tensor([[1.0, 2**-9]], dtype=torch.bfloat16)
_ROWS = torch.tensor([[1.0, 0.0], [1.0, 1.0]])  # logits 1 and 1 + 2^-9


def bf16_choice() -> int:
    return int((_CLOSE @ _ROWS.bfloat16().T).softmax(1).argmax(1))


def choice() -> int:
    router = SwitchRouter(2, 2).bfloat16()
    with torch.no_grad():
        router.gate.weight.copy_(_ROWS)
    return int(router(_CLOSE).expert_index)


def added_jitter() -> int:
    noise = 0.5 + torch.rand(400, 2)  # U[1 - 0.5, 1 + 0.5]
    return int((torch.tensor([1.0, 1.1]) + noise).argmax(1).eq(0).sum())


def changed_choices() -> int:
    router = SwitchRouter(1, 2, capacity_factor=None, jitter_noise=0.5).train()
    with torch.no_grad():
        router.gate.weight.copy_(torch.tensor([[1.0], [1.1]]))
    return int(router(torch.ones(400, 1)).expert_index.eq(0).sum())


# The balancing loss


def _f_times_p(chosen: Tensor, probs: Tensor) -> float:
    experts = probs.shape[1]
    f = torch.bincount(chosen, minlength=experts) / len(chosen)
    return (experts * (f * probs.mean(0)).sum()).item()


def loss_after_dropping() -> float:
    routing = _route(_all_to(3, 64, 4), 0.5)
    emptied = one_hot(routing.expert_index, 4) * routing.kept[:, None]
    return _f_times_p(emptied.argmax(1), routing.router_probs)


def loss_before_dropping() -> float:
    return load_balancing_loss(_route(_all_to(3, 64, 4), 0.5)).item()


def softmax_of_softmax() -> float:
    probs = _all_to(0, 8, 4).softmax(1)  # handed on as "router_logits"
    return _f_times_p(probs.argmax(1), probs.softmax(1))


def loss_of_collapse() -> float:
    return load_balancing_loss(_route(_all_to(0, 8, 4))).item()
