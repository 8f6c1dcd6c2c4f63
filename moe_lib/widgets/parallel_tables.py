"""A second table for `Calculator`: experts split over devices, and the journey there.

`Calculator(spec=PARALLEL)` shows it. Its formulas are `parallel_numbers`'s.
"""

from __future__ import annotations

from typing import Any

#: As `calculator_tables.INPUTS`; network is a number, 0 or 1, with a word for each.
INPUTS = [
    ("devices", "devices, D", [2**i for i in range(12)], "", 128, []),
    ("num_experts", "experts, E", [2**i for i in range(2, 12)], "", 128, []),
    ("top_k", "experts a token, k", [1, 2, 4, 8], "", 2, []),
    ("capacity_factor", "capacity factor, cf", [1, 1.25, 1.5, 2, 4], "", 1, []),
    (
        "tokens", "tokens each, b",
        [64, 256, 512, 1024, 2048, 4096, 8192, 16384], "", 2048, [],
    ),
    ("d_model", "d_model", [64, 128, 256, 512, 1024, 2048, 4096, 8192], "", 1024, []),
    (
        "d_ff", "hidden size, d_ff",
        [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384], "", 8192, [],
    ),
    ("bytes", "bytes a number", [1, 2, 4], "", 4, [(1, "1: int8"), (2, "2: bf16")]),
    ("network", "network", [0, 1], "", 0, [(0, "torus"), (1, "switch")]),
    (
        "bandwidth", "a link, GB/s", [0.1, 0.3, 1, 3, 10, 25, 50, 100, 200, 450],
        "", 50, [],
    ),
    ("latency", "start-up, µs", [0, 1, 3, 10, 30, 100, 300, 1000], "", 0, []),
    (
        "speed", "a device, TFLOP/s",
        [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 61.5, 123, 312, 989], "", 61.5, [],
    ),
]  # fmt: skip
START: dict[str, Any] = {name: start for name, _, _, _, start, _ in INPUTS}

#: Buttons. GShard: d_model 1,024, d_ff 8,192, float32, capacity 2 N / E (k = 2, cf =
#: 1), about 2,000 tokens on each core. TPU v3 (Google Cloud's documentation): a chip
#: of two cores has 123 TFLOP/s; 6.4 TB/s cross the middle of a torus of 32 x 32, over
#: 64 links, so 100 GB/s each, half of it for a core. H100 (NVIDIA's data sheet): 989
#: TFLOP/s dense in bfloat16, NVLink 900 GB/s, both directions together; the start-up
#: is assumed. Processes: rough numbers, to be replaced by measured ones.
PRESETS = {
    "GShard, 128 experts": START,
    "512 experts": {**START, "devices": 512, "num_experts": 512},
    "2,048 experts": {**START, "devices": 2048, "num_experts": 2048},
    "8 GPUs (H100)": {
        **START, "devices": 8, "num_experts": 8, "tokens": 16384, "d_model": 4096,
        "d_ff": 16384, "bytes": 2, "network": 1, "bandwidth": 450, "latency": 10,
        "speed": 989,
    },
    "4 processes, roughly": {
        **START, "devices": 4, "num_experts": 8, "tokens": 512, "d_model": 64,
        "d_ff": 256, "network": 1, "bandwidth": 1, "latency": 100, "speed": 0.03,
    },
}  # fmt: skip

_GIB = 2**30
#: As `calculator_tables.SECTIONS`.
SECTIONS = [
    {
        "name": "Bytes that leave a device, one layer",
        "scale": [2**10, 2**40],
        "ticks": [2**20, _GIB],
        "rows": [
            ("dispatch", ["journey"],
             "k × cf × b × d_model × bytes × (1 − 1 / D)", False, None),
            ("combine", ["journey"], "as many come back", False, None),
            ("a step", ["step"], "both, forward and backward", False, None),
            ("rows without padding", ["rows_only"], "the step with cf = 1", True,
             None),
            ("stays at home", ["home"], "1 / D of the buffers", True, None),
        ],
        "line": "Each device sends {step} a step, whatever D is, but for the"
        " {home_share} that stay at home.",
    },
    {
        "name": "The road",
        "scale": [0.1, 100],
        "ticks": [1, 10],
        "rows": [
            ("links that a row crosses", ["hops"],
             "torus of r × c: (r + c) / 4; switch: 1 − 1 / D", False, None),
            ("buffers that a link carries", ["link_load"],
             "those / links of a device", False, None),
            ("square root law", ["square_root"], "√D / 2, over 4 links", True, None),
        ],
        "line": "A link carries {link_load} buffers of a device in one journey. On a"
        " torus that grows like √D; a switch, if one were large enough, would stay"
        " below 1.",
    },
    {
        "name": "Seconds of a step, one layer",
        "scale": None,
        "ticks": [],
        "rows": [
            ("experts' arithmetic", ["compute"],
             "3 × k × cf × b × 4 × d_model × d_ff / speed", False, None),
            ("all-to-all", ["travel"],
             "4 × (start-up × (D − 1) + buffers × bytes / link)", False, None),
            ("both", ["compute", "travel"], "nothing overlaps", False, None),
            ("only starting up", ["start_up"], "4 × start-up × (D − 1)", True, None),
        ],
        "line": "Travelling takes {share} of it. Attention and the router are not in"
        " it, and nothing reaches peak speed.",
    },
    {
        "name": "Who moves, tokens or experts?",
        "scale": [2**10, 2**50],
        "ticks": [2**20, _GIB, 2**40],
        "rows": [
            ("weights held, split", ["held"],
             "E / D × 2 × d_model × d_ff × bytes", False, 16 * _GIB),
            ("weights held, replicated", ["everything"], "E of them", True,
             16 * _GIB),
            ("sent, split", ["step"], "tokens: the four journeys", False, None),
            ("sent, replicated", ["all_reduce"],
             "gradients: 2 × (1 − 1 / D) × all weights", True, None),
        ],
        "line": "Experts on a device: {device_experts}. Replicated, tokens stay at"
        " home, but every device holds {everything} and sends {all_reduce} of gradients"
        " a step. Dotted: 16 GiB, as a TPU v3 core has.",
    },
]  # fmt: skip

#: What the page gets.
PARALLEL: dict[str, Any] = {
    "formulas": "parallel",
    "title": "What does the journey to the experts cost?",
    "inputs": INPUTS,
    "presets": list(PRESETS.items()),
    "sections": SECTIONS,
    "units": dict.fromkeys(
        ["journey", "step", "rows_only", "home", "held", "everything", "all_reduce"],
        "B",
    )
    | dict.fromkeys(["compute", "travel", "start_up"], "s")
    | {"share": "%", "home_share": "%"},
    "answer": "A device sends {step} a step and layer. That takes {travel}, {share} of"
    " the layer's time; its experts compute for {compute}.",
    "legend": "Filled: experts split over the devices. Outlined: to compare. Striped:"
    " travelling. Fading: longer than there is room. Upright line and ×: against the"
    " last button.",
}
