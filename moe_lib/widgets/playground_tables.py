"""The playground's tables: routers, settings, defaults, words. The page gets them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

MAX_TOKENS = 64  # that the page shows
STYLE = Path(__file__).with_name("js") / "playground.css"
#: The router's name where an object of the reader's own drives the picture.
OWN = "own"
#: name -> what it is called, the settings that it has beside ``num_experts``, its rule.
ROUTERS = {
    "softmax_gate": (
        "softmax gate (1991)",
        ["temperature"],
        "every expert serves every token, in proportion to the gate",
    ),
    "noisy_top_k": (
        "noisy top-k (2017)",
        ["top_k", "noise", "temperature"],
        "the k largest of the noisy logits; nothing is dropped",
    ),
    "gshard": (
        "GShard (2020)",
        ["capacity_factor", "temperature", "group_size"],
        "two experts for each token; second choices queue after all first ones",
    ),
    "switch": (
        "Switch (2021)",
        ["capacity_factor", "jitter_noise", "temperature", "group_size"],
        "one expert for each token; who finds the buffer full is dropped",
    ),
    "hash": (
        "hash (2021)",
        [],
        "the token's identity decides; there are no logits to push",
    ),
    "expert_choice": (
        "expert choice (2022)",
        ["capacity_factor", "temperature", "group_size"],
        "every expert takes its best tokens, until it is full",
    ),
    "top_k": (
        "top-k as in Mixtral (2024)",
        ["top_k", "temperature"],
        "the k largest logits; nothing is dropped",
    ),
    OWN: (
        "your own",
        ["noise", "jitter_noise", "temperature"],
        "computed in the kernel",
    ),
}


def _steps(first: int, last: int, unit: int) -> list[float]:
    return [step / unit for step in range(first, last + 1)]


#: setting -> its label, the values of its slider, and what None is called.
SETTINGS = {
    "num_experts": ("experts", [2, 4, 8, 16]),
    "top_k": ("k", list(range(1, 17))),
    "capacity_factor": ("capacity factor", [*_steps(1, 16, 4), None], "dropless"),
    "noise": ("noise", _steps(0, 20, 10)),
    "jitter_noise": ("jitter", [0, 0.01, *_steps(1, 10, 20)]),
    "temperature": ("temperature", _steps(1, 16, 4)),
    "group_size": ("group size", [4, 8, 16, 32, None], "all"),
}
DEFAULTS: dict[str, Any] = {
    "router": "switch",
    "text": "The capacity of an expert is a wall: who comes late goes without, "
    "and nobody asks why.",
    "num_experts": 8,
    "top_k": 2,
    "capacity_factor": 1.25,
    "noise": 0,
    "jitter_noise": 0,
    "temperature": 1,
    "group_size": None,
    "seed": 0,
    "nudges": [],
    "locked": None,
}
LEGEND = (
    "●_first choice",
    "◆_second",
    "■_later, or the expert's",
    "⊘_dropped",
    "▨_empty_slot",
    "┄_fair share",
)
BUTTONS = {
    "lock": "lock, to compare",
    "lower": "lower (−)",
    "raise": "raise (+)",
    "undo": "undo pushes",
    "copy": "copy as Python",
}
LOCKED = ("router", *SETTINGS)


def plain(value: Any) -> Any:
    """As the page writes it: whole numbers without a point, tuples as lists."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


#: What the page gets. Tables are lists of pairs: stored notebooks sort JSON's keys.
SPEC = plain(
    {
        "routers": [
            (name, (called, ["num_experts", *has], rule))
            for name, (called, has, rule) in ROUTERS.items()
        ],
        "settings": list(SETTINGS.items()),
        "defaults": list(DEFAULTS.items()),
        "buttons": list(BUTTONS.items()),
        "max_tokens": MAX_TOKENS,
        "title": "When does a token get dropped?",
        "legend": "   ".join(LEGEND).replace("_", "\u00a0"),
        "style": STYLE.read_text("utf-8"),
    }
)
