"""What is exactly true of split experts, and of the numbers that GShard prints."""

from __future__ import annotations

import torch

from moe_lib.course import cost_quality as table
from moe_lib.course.split_run import TRAVELS, SplitRun
from moe_lib.course.torus import SplitLayer, mean_hops, walked_hops
from moe_lib.course.traffic_remedies import D_MODEL as WIDTH
from moe_lib.exchange import payload_bytes

TORI = range(1, 257)
D_MODEL, D_FF = 1024, 8192  # of all the paper's models


def hops_off() -> float:
    """Largest distance of the formula for hops from a walk over all links."""
    sizes = [*TORI, 512, 1024, 2048]
    return max(abs(mean_hops(d) - walked_hops(d)) for d in sizes)


def root_off() -> float:
    """Largest distance of the mean hops of an even square torus from sqrt(D) / 2."""
    return max(abs(mean_hops(n * n) - n / 2) for n in range(2, 65, 2))


def fixed_bytes_off() -> float:
    """Largest distance of what a device sends and keeps from k d_model bytes tokens."""
    layers = (SplitLayer(d, 2048, 2, 2048, D_MODEL, D_FF) for d in range(1, 2049))
    asked = 2 * 2048 * D_MODEL * 4
    return max(abs(layer.sent_bytes + layer.home_bytes - asked) for layer in layers)


def odd_cells() -> list[str]:
    """The models of tables 1 and 3 whose columns disagree beyond rounding.

    Core-years with cores x days / 365; days with tokens / batch / steps a second;
    experts in all with those of a layer, in every other layer.
    """
    odd = []
    for model in table.ALL:
        half = 0.5 if model is table.DENSE else 0.05  # of the last digit of days
        year = model.cores / table.YEAR  # core-years of a day
        agree = abs(model.core_years_of_days - model.core_years) <= half * year + 0.05
        if model.steps:
            spread = 0.005 / model.steps * model.days_of_steps
            agree &= abs(model.days_of_steps - model.days) <= half + spread
        agree &= model.experts_total == model.experts * model.layers // 2
        if not agree:
            odd.append(model.name)
    return odd


def weights_off() -> float:
    """Largest relative distance of the printed weights from the experts' alone.

    Every other layer is a mixture of experts of 2 x 1,024 x 8,192 weights.
    """
    return max(
        abs(m.layers / 2 * m.experts * 2 * D_MODEL * D_FF / m.weights - 1)
        for m in table.MODELS
    )


def wrong_cells(run: SplitRun) -> int:
    """Cells of the traffic matrices that are not rows x d_model x bytes x 2."""
    pairs = ((run.traffic(kind), run.calculated(kind)) for kind in TRAVELS)
    return sum(int((measured != right).sum()) for measured, right in pairs)


def wrong_payloads(run: SplitRun) -> list[bool]:
    """For each batch of each shorter payload: are its bytes not what a row says?"""
    plain, *others = run.tried

    def row(payload: str) -> int:
        return payload_bytes(1, WIDTH, torch.float32, payload)

    return [
        sent * row("same") != full * row(tried.remedy.payload)
        for tried in others
        if tried.remedy.payload != "same"
        for sent, full in zip(tried.crossing, plain.crossing, strict=True)
    ]
