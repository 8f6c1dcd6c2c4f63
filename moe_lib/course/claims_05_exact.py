"""What Zhou et al. (2022) define or derive, to be judged in chapter 5."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from moe_lib.course.claims import Claim
from moe_lib.course.evidence import Exact
from moe_lib.course.switch_layer import CLOSE
from moe_lib.losses import load_balancing_loss
from moe_lib.routers import ExpertChoiceRouter

PAPER = "Zhou et al. 2022"
TINY = 1e-12  # float64
SHAPES = [
    (tokens, experts, factor)
    for tokens in (1, 7, 32, 100) for experts in (1, 2, 3, 8, 16)
    for factor in (0.5, 1.0, 1.25, 2.0, 4.0)
]  # fmt: skip


def exact_claims(worst: Mapping[str, Tensor], cases: int = 300) -> list[Claim]:
    """On the layer, from what `switch_layer.differences` found, and identities."""
    off = max(parts.max().item() for parts in worst.values())
    balance, capacity, average = choices_off()
    loss, slope = loss_off()
    return [
        Claim(
            "M5.layer", "y = Σ P G E(P X) with P of each expert's top tokens (here: the"
            " einsums and the library, outputs and gradients)",
            f"{PAPER}, equations 2 to 4", "defined", Exact(off, cases, "layers", CLOSE),
        ),
        Claim(
            "M5.balance", "perfect load balance (here: CV of the load other than 0; by"
            " lot, and where all prefer one expert)", f"{PAPER}, section 3.2",
            "by construction", Exact(balance, 2 * len(SHAPES), "tables"),
        ),
        Claim(
            "M5.capacity", "an expert takes k = n c / e tokens (here: rounded up, n at"
            " most)", f"{PAPER}, equation 1", "defined",
            Exact(capacity, 2 * len(SHAPES), "tables"),
        ),
        Claim(
            "M5.average", "c is the experts of a token on average (here: off E C / T)",
            f"{PAPER}, section 3.2", "defined",
            Exact(average, 2 * len(SHAPES), "tables", TINY),
        ),
        Claim(
            "M5.variable", "a token gets a variable number of experts (here: from none"
            " to all E, in one table)", f"{PAPER}, section 3.2", "stated",
            Exact(*zero_to_all_off()),
        ),
        Claim(
            "M5.no-loss", "no auxiliary loss is needed (here: Switch's would be 1"
            " whatever the router does)", f"{PAPER}, section 1", "stated",
            Exact(loss, 2 * len(SHAPES), "tables", TINY),
        ),
        Claim(
            "M5.no-loss-slope", "so it would teach the router nothing (here: its"
            " gradient)", "this course", "0",
            Exact(slope, 2 * len(SHAPES), "tables", TINY),
        ),
    ]  # fmt: skip


def _logits() -> Iterator[tuple[Tensor, float]]:
    """Of all `SHAPES`, by lot and with one expert that all prefer; c."""
    draw = torch.Generator().manual_seed(2022)
    for tokens, experts, factor in SHAPES:
        drawn = torch.randn(tokens, experts, generator=draw, dtype=torch.float64)
        favourite = one_hot(torch.zeros(tokens, dtype=torch.int64), experts)
        yield drawn, factor
        yield drawn + 50 * favourite, factor


def choices_off() -> tuple[float, float, float]:
    """Tables with an uneven load; with another number of tokens of an expert; the
    largest difference of the experts of a token on average from E C / T."""
    uneven = other = 0
    worst = 0.0
    for logits, factor in _logits():
        tokens, experts = logits.shape
        table = ExpertChoiceRouter(1, experts, capacity_factor=factor).route(logits)
        load = table.tokens_per_expert.double()
        places = min(tokens, math.ceil(factor * tokens / experts))
        uneven += bool(load.std(correction=0) != 0)
        other += bool((load != places).any())
        served = torch.bincount(table.token_index[table.kept], minlength=tokens)
        worst = max(
            worst, abs(served.double().mean().item() - experts * places / tokens)
        )
    return float(uneven), float(other), worst


def zero_to_all_off() -> tuple[float, int, str]:
    """Tables in which the first token is not served by all E, or the last by any.

    Each expert has one token that loves it and takes that and one more. The rest is
    level: the first token, which is taken before its equals, and the last.
    """
    wrong = 0
    sizes = (2, 3, 8, 16)
    for experts in sizes:
        level = torch.zeros(1, experts, dtype=torch.float64)
        lovers = 5 * torch.eye(experts, dtype=torch.float64)
        logits = torch.cat([level, lovers, level])
        router = ExpertChoiceRouter(
            1, experts, capacity_factor=2 * experts / len(logits)
        )
        table = router.route(logits)
        served = torch.bincount(table.token_index, minlength=len(logits))
        wrong += not (served[0] == experts and served[-1] == 0)
    return float(wrong), len(sizes), "tables"


def loss_off() -> tuple[float, float]:
    """How far `load_balancing_loss` is from 1 for expert choice, and its gradient."""
    value = slope = 0.0
    for logits, factor in _logits():
        router = ExpertChoiceRouter(1, logits.shape[1], capacity_factor=factor)
        logits = logits.requires_grad_()
        loss = load_balancing_loss(router.route(logits))
        (gradient,) = torch.autograd.grad(loss, logits)
        value = max(value, abs(loss.item() - 1))
        slope = max(slope, gradient.abs().max().item())
    return value, slope
