"""What the calculator's settings lead to: moe_lib's accounting, and numbers as words.

`js/calculation.js` has the same for the page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Context

import torch

from moe_lib.accounting import FeedForward
from moe_lib.accounting.memory import training_memory

#: Bytes of a number -> dtype.
DTYPES = {4: torch.float32, 2: torch.bfloat16}


def numbers(state: Mapping[str, float]) -> dict[str, float]:
    """All that the calculator shows, of a checked state.

    Counts of parameters, FLOPs of a token's forward pass, tokens of an expert and a
    step, bytes; ``..._ratio``, ``..._saving`` and ``..._cost`` are quotients.

    With ``groups`` > 1 a first router chooses among the groups, and the routers of two
    groups (of one where k = 1) among their own ``n / groups`` experts.
    """
    n, k, groups = state["num_experts"], state["top_k"], state["groups"]
    d_model, d_ff, width = state["d_model"], state["d_ff"], state["bytes"]
    tokens, devices = state["tokens"], state["devices"]
    layer = FeedForward(d_model, d_ff, num_experts=None if n == 1 else n, top_k=k)
    dense = FeedForward(d_model, k * d_ff)
    router = asked = layer.router_parameters
    if groups > 1:
        router += d_model * groups
        asked = d_model * (groups + min(2, k) * n // groups)
    experts = layer.total_parameters - layer.router_parameters
    expert_flops, router_flops = dense.flops(1), 2 * asked
    all_expert_flops = FeedForward(d_model, n * d_ff).flops(1)
    rest_flops = expert_flops * (1 - state["expert_share"]) / state["expert_share"]
    others = router_flops + rest_flops

    device_experts = math.ceil(n / devices)
    held = router + device_experts * layer.expert_parameters
    device = training_memory(held, 0, DTYPES[width], "adam")
    whole = training_memory(router + experts, 0, DTYPES[width], "adam")
    return {
        "total_parameters": router + experts,
        "active_parameters": asked + dense.total_parameters,
        "dense_parameters": dense.total_parameters,
        "parameter_ratio": (router + experts) / dense.total_parameters,
        "expert_flops": expert_flops,
        "router_flops": router_flops,
        "rest_flops": rest_flops,
        "all_expert_flops": all_expert_flops,
        "expert_saving": n / k,
        "model_saving": (all_expert_flops + others) / (expert_flops + others),
        "router_cost": router_flops / expert_flops,
        "rows_one": k * tokens / n,
        "rows_all": k * tokens * devices / n,
        "rows_needed": state["balance"] * width / 2,
        "work_per_number": d_ff,
        "flops_per_byte": 2 * d_ff / width,
        "sent": k * tokens * d_model * width * (1 - 1 / devices),
        "device_experts": device_experts,
        "weights": device.weights,
        "gradients": device.gradients,
        "optimiser": device.optimiser,
        "device_memory": device.total,
        "whole_memory": whole.total,
    }


def allowed(key: str, values: list[float], state: Mapping[str, float]) -> list[float]:
    """The ``values`` that setting ``key`` can have beside the others of ``state``.

    No more choices than experts; groups of equal size, with two experts at least.
    """
    n = state["num_experts"]
    if key == "top_k":
        return [v for v in values if v <= n]
    if key == "groups":
        return [v for v in values if v == 1 or (v < n and n % v == 0)]
    return values


# Numbers as words

WORDS = ("million", "billion", "trillion", "quadrillion")
BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
#: Unit -> words for its sizes, the step between them, what the first stands for.
SCALES = {
    "": (WORDS, 1000, 10**6),
    "B": (BYTES, 1024, 1),
    "s": (("ns", "µs", "ms", "s"), 1000, 1),  # of nanoseconds
}
_THREE = Context(prec=3, rounding=ROUND_HALF_UP)  # halves go up, as in JavaScript


def _digits(value: float) -> str:
    if value >= 999.5:
        return f"{math.floor(value + 0.5):,}"
    return f"{_THREE.create_decimal_from_float(float(value)).normalize():f}"


def shown(value: float, unit: str = "") -> str:
    """Three digits and a word; of unit "B" bytes, "s" seconds, "%" percent."""
    if unit == "%":
        return f"{_digits(100 * value)}\u00a0%"
    names, step, first = SCALES[unit]
    if unit == "s":
        value *= 1e9
    if value < first:
        return _digits(value) + (unit and f"\u00a0{names[0]}")
    size, place = first, 0
    while place + 1 < len(names) and value >= size * step:
        size, place = size * step, place + 1
    return f"{_digits(value / size)}\u00a0{names[place]}"


def filled(text: str, values: Mapping[str, float], units: Mapping[str, str]) -> str:
    """``text`` with each {name} replaced by that number."""
    return re.sub(
        r"\{(\w+)\}", lambda m: shown(values[m[1]], units.get(m[1], "")), text
    )
