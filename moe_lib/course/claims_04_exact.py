"""What Fedus et al. (2021) define or derive, to be judged in chapter 4."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from moe_lib.course.algorithm_1 import loss_off, random_cases
from moe_lib.course.balance_conventions import balanced_logits, collapsed_logits
from moe_lib.course.claims import Claim
from moe_lib.course.evidence import Exact
from moe_lib.course.exercises_04 import router_gradient
from moe_lib.course.one_or_two import bill, route_both
from moe_lib.course.published_slips import SLIPS, slips_off
from moe_lib.course.switch_layer import CLOSE, dense_differences
from moe_lib.losses import load_balancing_loss
from moe_lib.routers import SwitchRouter

PAPER = "Fedus et al. 2021"
TINY = 1e-12  # float64
EXPERTS = (1, 2, 4, 8, 16, 32, 64)


def layer_claims(worst: Mapping[str, Tensor], cases: int = 300) -> list[Claim]:
    """On the layer: what `switch_layer.differences` found, and identities."""
    off = max(parts.max().item() for parts in worst.values())
    wrong, layers = dense_differences()
    return [
        Claim(
            "M4.layer", "y = p_i(x) E_i(x) for the one best expert, 0 beyond its"
            " capacity (here: the obvious lines and the library, outputs and"
            " gradients)", f"{PAPER}, equations 1 to 3", "defined",
            Exact(off, cases, "layers", CLOSE),
        ),
        Claim(
            "M4.dense-is-one-expert", "a dense layer is a Switch layer with one expert"
            " (here: to the bit, gradients too)", f"{PAPER}, section 2.1",
            "by construction", Exact(float(wrong), layers, "layers"),
        ),
        Claim(
            "M4.gradient", "scaled by p_i, the layer gives its router a gradient (here:"
            " as derived by hand; renormalised, none)", f"{PAPER}, section 2.1",
            "stated", Exact(gradient_off(60), 60, "tables", TINY),
        ),
        Claim(
            "M4.capacity", "expert capacity = tokens / experts × capacity factor (here:"
            " rounded up, and all to one expert fill just that)",
            f"{PAPER}, equation 3", "defined", Exact(*capacity_off()),
        ),
        Claim(
            "M4.half", "for one expert of each token instead of two, half the capacity"
            " is enough (here: with even demand nobody is late from factor 1 on,"
            " instead of 2)", f"{PAPER}, section 2.1", "at least halved",
            Exact(*half_off()),
        ),
        Claim(
            "M4.slips", "slips of published Switch layers are caught by a check that"
            " this one passes", "tutorials, libraries and printed code", "slips",
            Exact(float(slips_off()), len(SLIPS), "slips"),
        ),
    ]  # fmt: skip


def loss_claims() -> list[Claim]:
    """On the balancing loss without its coefficient."""
    return [
        Claim(
            "M4.loss", "N Σ f P is 1 under uniform routing (here: for 1 to 64 experts;"
            " N if one expert gets all)", f"{PAPER}, equation 4", "1",
            Exact(balance_off(), 2 * len(EXPERTS), "tables", TINY),
        ),
        Claim(
            "M4.loss-gradient", "P is differentiable, f is not (here: the gradient is p"
            " (f - p·f) N / T)", f"{PAPER}, equations 5 and 6", "stated",
            Exact(loss_gradient_off(60), 60, "tables", TINY),
        ),
        Claim(
            "M4.loss-gshard", "the loss simplifies earlier ones (here: N² times"
            " GShard's for top-1)", f"{PAPER}, section 2.2", "simplified",
            Exact(loss_off(60), 60, "tables", TINY),
        ),
    ]  # fmt: skip


def _tables(cases: int) -> list[tuple[Tensor, torch.Generator]]:
    """Random logits ``[T, E]`` float64 that require a gradient; draws to go with."""
    return [
        (case.routing.router_logits.detach().clone().requires_grad_(),
         torch.Generator().manual_seed(i))
        for i, case in enumerate(random_cases(cases))
    ]  # fmt: skip


def gradient_off(cases: int) -> float:
    """How far the router's gradient is from p_i (1[i = j] - p_j) of the slope.

    Infinite where a renormalised weight has one.
    """
    worst = 0.0
    for logits, draw in _tables(cases):
        table = SwitchRouter(1, logits.shape[1], capacity_factor=1.0).route(logits)
        outputs, upstream = torch.randn(
            2, len(logits), 3, generator=draw, dtype=torch.float64
        )
        y = table.combine_weights[:, None] * outputs
        (slope,) = torch.autograd.grad((y * upstream).sum(), logits, retain_graph=True)
        by_hand = router_gradient(logits.detach(), outputs, table.kept, upstream)
        worst = max(worst, (slope - by_hand).abs().max().item())
        p = table.router_probs.amax(dim=1, keepdim=True)
        only = (p / p.sum(dim=1, keepdim=True) * outputs * upstream).sum()
        (none,) = torch.autograd.grad(only, logits)
        if none.abs().max() > TINY:
            return math.inf
    return worst


def capacity_off() -> tuple[float, int, str]:
    """Shapes whose capacity is another, or is not filled by one expert's tokens."""
    shapes = [
        (tokens, experts, quarters)
        for tokens in (1, 7, 32, 100) for experts in (1, 2, 3, 8)
        for quarters in range(2, 9)
    ]  # fmt: skip
    wrong = 0
    for tokens, experts, quarters in shapes:
        router = SwitchRouter(1, experts, capacity_factor=quarters / 4)
        table = router.route(torch.zeros(tokens, experts))  # ties: all to A
        places = -(-quarters * tokens // (4 * experts))  # whole numbers, rounded up
        filled = table.tokens_per_expert[0] == min(places, tokens)
        wrong += not (table.capacity == places and filled)
    return float(wrong), len(shapes), "shapes"


def half_off() -> tuple[float, int, str]:
    """Tables of even demand in which a choice is late at the factor that should do, or
    none is at a place less."""
    sizes = [e for e in EXPERTS if e > 1]
    wrong = 0
    for e in sizes:
        logits = balanced_logits(e, 4 * e)  # first and second choices are even
        for name, enough in (("top-1", 1.0), ("top-2", 2.0)):
            less = route_both(logits, enough - 1 / 4)[name]  # a place of 4 less
            late = bill(route_both(logits, enough)[name]).late
            wrong += not (late == 0 < bill(less).late)
    return float(wrong), 2 * len(sizes), "tables"


def balance_off() -> float:
    """How far the loss is from 1 at balance and from E for a collapse, at most."""
    worst = 0.0
    for e in EXPERTS:
        router = SwitchRouter(1, e)
        even = balanced_logits(e, 4 * e) if e > 1 else torch.zeros(4, 1).double()
        sure = collapsed_logits(e, 4 * e) if e > 1 else even
        for logits, value in ((even, 1), (sure, e)):
            loss = load_balancing_loss(router.route(logits)).item()
            worst = max(worst, abs(loss - value))
    return worst


def loss_gradient_off(cases: int) -> float:
    """How far the loss's gradient is from that of a constant f, by hand."""
    worst = 0.0
    for logits, _ in _tables(cases):
        tokens, e = logits.shape
        table = SwitchRouter(1, e, capacity_factor=1.0).route(logits)
        (slope,) = torch.autograd.grad(load_balancing_loss(table), logits)
        p, f = table.router_probs.detach(), table.demand_per_expert.double() / tokens
        by_hand = e / tokens * p * (f - (p @ f)[:, None])
        worst = max(worst, (slope - by_hand).abs().max().item())
    return worst
