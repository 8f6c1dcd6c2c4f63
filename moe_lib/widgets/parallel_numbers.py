"""What the settings of the parallel calculator lead to; `js/parallel.js` has the same.

The arithmetic is `moe_lib.course.torus`'s, the words are `calculator_numbers`'s.
"""

from __future__ import annotations

from collections.abc import Mapping

from moe_lib.course.torus import (
    JOURNEYS,
    NETWORKS,
    PASSES,
    SplitLayer,
    all_to_all_seconds,
    load_of_a_link,
    mean_hops,
)


def numbers(state: Mapping[str, float]) -> dict[str, float]:
    """All that the calculator shows, of a checked state.

    Bytes and seconds of one device, one layer and one step, forward and backward.
    """
    devices, network = state["devices"], NETWORKS[state["network"]]
    layer = SplitLayer(
        devices,
        state["num_experts"],
        state["top_k"],
        state["tokens"],
        state["d_model"],
        state["d_ff"],
        state["bytes"],
        state["capacity_factor"],
    )
    bandwidth, latency = 1e9 * state["bandwidth"], 1e-6 * state["latency"]
    compute = PASSES * layer.flops / (1e12 * state["speed"])
    journey = all_to_all_seconds(
        layer.buffer_bytes, devices, bandwidth, latency, network
    )
    travel = JOURNEYS * journey
    return {
        "journey": layer.sent_bytes,
        "step": JOURNEYS * layer.sent_bytes,
        "rows_only": JOURNEYS * layer.sent_bytes / state["capacity_factor"],
        "home": JOURNEYS * layer.home_bytes,
        "home_share": 1 / devices,
        "hops": mean_hops(devices) if network == "torus" else 1 - 1 / devices,
        "link_load": load_of_a_link(devices, network),
        "square_root": devices**0.5 / 8,
        "compute": compute,
        "travel": travel,
        "start_up": JOURNEYS * latency * (devices - 1),
        "share": travel / (travel + compute),
        "device_experts": layer.num_experts / devices,
        "held": layer.held_bytes,
        "everything": layer.expert_bytes,
        "all_reduce": layer.all_reduce_bytes,
    }


def allowed(key: str, values: list[float], state: Mapping[str, float]) -> list[float]:
    """The ``values`` that setting ``key`` can have: an expert or more for a device."""
    if key == "num_experts":
        return [v for v in values if v >= state["devices"]]
    return values
