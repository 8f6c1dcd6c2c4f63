"""The playground's state: what it may be, and the call that makes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from moe_lib.checks import (
    require_choice,
    require_count,
    require_share,
    require_top_k,
)
from moe_lib.models.small_router import tokenize
from moe_lib.widgets.playground_tables import (
    DEFAULTS,
    LOCKED,
    MAX_TOKENS,
    OWN,
    ROUTERS,
    SETTINGS,
    plain,
)


def checked(state: Mapping[str, Any], *, own: bool) -> dict[str, Any]:
    """The state, complete and plain; a one-line ValueError where it cannot be.

    ``own``: there is a router of the reader's own to choose.
    """
    for key in state:
        require_choice("setting", key, DEFAULTS)
    state = plain({**DEFAULTS, **state})
    _check_settings(state, own)
    if not isinstance(state["text"], str) or not tokenize(state["text"]):
        raise ValueError(f"text={state['text']!r}: give at least one word")
    seed = state["seed"]
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ValueError(f"seed={seed!r}: give a whole number")
    for nudge in state["nudges"]:
        good = isinstance(nudge, list) and len(nudge) == 3
        if not (good and all(map(_is_number, nudge)) and min(nudge[:2]) >= 0):
            raise ValueError(f"nudges hold {nudge!r}: give (token, expert, amount)")
    if state["locked"] is not None:
        if not isinstance(state["locked"], dict):
            raise ValueError(f"locked={state['locked']!r}: give a dict of settings")
        for key in state["locked"]:
            require_choice("locked setting", key, LOCKED)
        state["locked"] = {
            key: state["locked"].get(key, DEFAULTS[key]) for key in LOCKED
        }
        _check_settings(state["locked"], own)
    return state


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_settings(state: dict[str, Any], own: bool) -> None:
    known = [name for name in ROUTERS if own or name != OWN]
    require_choice("router", state["router"], known)
    experts = state["num_experts"]
    if experts not in (values := SETTINGS["num_experts"][1]):
        raise ValueError(f"num_experts={experts!r}: give one of {values}")
    require_top_k(state["top_k"], "num_experts", experts)
    factor = state["capacity_factor"]
    if factor is None and state["router"] == "expert_choice":
        raise ValueError(
            "capacity_factor=None: expert choice fills every slot; give 0.25 to 4"
        )
    if factor is not None:
        _require_between("capacity_factor", factor, 0.25, 4, ", or None")
    _require_between("noise", state["noise"], 0, 2)
    require_share("jitter_noise", state["jitter_noise"])
    _require_between("temperature", state["temperature"], 0.25, 4)
    if state["group_size"] is not None:
        require_count("group_size", state["group_size"])
        _require_between("group_size", state["group_size"], 1, MAX_TOKENS, ", or None")


def _require_between(
    name: str, value: Any, low: float, high: float, otherwise: str = ""
) -> None:
    if not (_is_number(value) and low <= value <= high):
        raise ValueError(
            f"{name}={value!r}: give a number from {low} to {high}{otherwise}"
        )


def arguments(values: Mapping[str, Any]) -> str:
    """As a call has them: what differs from the defaults."""
    return ", ".join(
        f"{key}={'router' if (key, value) == ('router', OWN) else _python(value)}"
        for key, value in values.items()
        if value != DEFAULTS[key]
    )


def _python(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, dict):
        return f"dict({arguments(value)})"
    if isinstance(value, list):
        return f"[{', '.join(map(_python, value))}]"
    return json.dumps(value, ensure_ascii=False)
