"""What Switch says of few bits, and ST-MoE of the router z-loss."""

from __future__ import annotations

import math

import torch

from moe_lib.course import measurements_04b_stability as long
from moe_lib.course.claims import Claim, with_origin
from moe_lib.course.columns import Columns
from moe_lib.course.evidence import BITS, Below, Cited, Exact, Near
from moe_lib.course.measurements import stored
from moe_lib.course.measurements_04b_stability import arm_name
from moe_lib.course.precision import Probe
from moe_lib.losses import router_z_loss
from moe_lib.routers import SwitchRouter

PAPER, ST_MOE = "Fedus et al. 2021", "Zoph et al. 2022"
MARGIN = 0.03  # bits per byte: a hundredth of what a byte costs this early


def precision_claims(columns: Columns) -> list[Claim]:
    """On the columns of `measurements_04b_stability.PRECISION`."""
    bits = {arm: columns[f"{arm}: bits"] for arm in long.ARMS}
    seconds = {arm: columns[f"{arm}: seconds"] for arm in long.ARMS}
    source = f"{PAPER}, table 2"
    return [
        Claim(
            "M4.table-2-diverges", "a mixture trained in bf16, its router too, learns"
            " less than in float32 (there it diverged)", source,
            "-3.780 against -1.718",
            Below(bits["float32"], bits["bfloat16"], BITS, 3),
        ),
        Claim(
            "M4.selective", "with the router alone in float32, bf16 learns as much as"
            f" float32 (here: within {MARGIN} bits per byte)", source,
            "-1.716 against -1.718",
            Near(bits["selective"], bits["float32"], BITS, 3, margin=MARGIN),
        ),
        Claim(
            "M4.selective-time", "and a step takes less time than in float32 (here on"
            " one thread of a CPU)", source, "1,390 against 1,160 examples per second",
            Below(seconds["selective"], seconds["float32"], "s", 3),
        ),
    ]  # fmt: skip


def z_claims(columns: Columns) -> list[Claim]:
    """On the columns of `measurements_04b_stability.STABILITY`.

    With the coefficient of the paper, 0.001, against none, at the usual rate.
    """
    usual = long.STABILITY.config["rates"][0]

    def pair(what: str) -> tuple:
        """With the z-loss and without, ``[S]`` at the end."""
        return tuple(
            columns[f"{arm_name(usual, w_z)}: {what}"][:, -1] for w_z in (0.001, 0.0)
        )

    changed = columns[f"{arm_name(usual, 0.0)}: changed"]
    source = f"{ST_MOE}, section 3"
    return [
        Claim(
            "M4.z-lse", "the router z-loss lowers the logsumexp of the logits", source,
            "stated", Below(*pair("lse"), "", 2),
        ),
        Claim(
            "M4.z-logits", "and keeps logits small (here: the largest, without its"
            " sign)", source, "stated", Below(*pair("max logit"), "", 2),
        ),
        Claim(
            "M4.z-rounding", "so that rounding to bf16 moves probabilities less (here:"
            " mean over tokens of the largest change)", source, "stated",
            Below(*pair("error"), "", 5),
        ),
        Claim(
            "M4.z-quality", "and costs no quality (here: within"
            f" {MARGIN} bits per byte)", source, "-1.741 against -1.755",
            Near(*pair("bits"), BITS, 3, margin=MARGIN),
        ),
        Claim(
            "M4.flips", "tokens settle on their experts while a model trains (here:"
            " share that changes expert between looks, last against first)",
            "Xue et al. 2024 (OpenMoE)", "stated",
            Below(100 * changed[:, -1], 100 * changed[:, 0], "%", 1),
        ),
    ]  # fmt: skip


def island_claim(seen: Probe) -> Claim:
    """The library's router on bf16 input against float32 arithmetic on the same."""
    x = seen.x.bfloat16()
    router = SwitchRouter(x.shape[1], len(seen.weight), capacity_factor=None)
    router.gate.weight.data.copy_(seen.weight)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        routing = router(x)
    same = (x.float() @ seen.weight.T).softmax(dim=1).argmax(dim=1)
    return Claim(
        "M4.island-exact", "a router in float32 inside a bf16 model chooses as float32"
        " arithmetic does on the same input", f"{PAPER}, section 2.4",
        "selective precision",
        Exact(float((routing.expert_index != same).sum()), len(x), "tokens"),
    )  # fmt: skip


def z_loss_claims(seen: Probe) -> list[Claim]:
    """The z-loss's gradient by its formula, and its value at logits of 0."""
    tokens, experts = len(seen.x), len(seen.weight)
    logits = (seen.x.double() @ seen.weight.double().T).requires_grad_()
    router = SwitchRouter(seen.x.shape[1], experts, capacity_factor=None)
    router_z_loss(router.route(logits)).backward()
    total = logits.detach().logsumexp(dim=1, keepdim=True)
    formula = 2 * total * logits.detach().softmax(dim=1) / tokens
    off = (logits.grad - formula).abs().max().item()
    at_zero = router_z_loss(router.route(torch.zeros_like(formula))).item()
    return [
        Claim(
            "M4.z-gradient", "the z-loss pulls at logit j by 2 logsumexp softmax_j / B",
            f"{ST_MOE}, equation 5", "by calculus",
            Exact(off, logits.numel(), "logits", tolerance=1e-12),
        ),
        Claim(
            "M4.z-zero", "at logits of 0 it is (ln E)\u00b2, not 0",
            f"{ST_MOE}, equation 5", "by calculus",
            Exact(abs(at_zero - math.log(experts) ** 2), 1, "case", tolerance=1e-12),
        ),
    ]  # fmt: skip


def cited_claims() -> list[Claim]:
    """What is out of reach here."""
    reason = "32 experts of a model with the arithmetic of T5-XL, for days"
    return [
        Claim(
            "M4.z-stable", "with the router z-loss all runs are stable, and none is"
            " worse for it", f"{ST_MOE}, section 3", "3 of 3 runs, without it 4 of 6",
            Cited(reason),
        ),
        Claim(
            "M4.remedies-cost", "other remedies for instability cost quality",
            f"{ST_MOE}, section 3", "-1.777 to -4.206 against -1.755", Cited(reason),
        ),
    ]  # fmt: skip


def stored_claims() -> list[Claim]:
    """From the two long measurements.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    bits, runs = stored(long.PRECISION), stored(long.STABILITY)
    return [
        *with_origin(bits, precision_claims(bits)),
        *with_origin(runs, z_claims(runs)),
    ]
