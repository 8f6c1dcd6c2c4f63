"""What the playground's state leads to: the routing table, and the page's copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from moe_lib.models.small_router import SmallRouter, tokenize
from moe_lib.routing import Routing
from moe_lib.widgets.compact import compact
from moe_lib.widgets.playground_tables import MAX_TOKENS, OWN, ROUTERS


class Routes(Protocol):
    """What a router of the reader's own must have."""

    def route(self, router_logits: Tensor) -> Routing:
        """The table for logits ``[T, E]`` float64, with their noise."""


def routed(small: SmallRouter, state: Mapping[str, Any], own: Routes | None) -> Routing:
    """The table of a checked state.

    ``own``: the reader's router, for ``OWN``.
    """
    name = state["router"]
    has = ROUTERS[name][1]
    used = {key: state[key] for key in has}
    tokens = tokenize(state["text"])[:MAX_TOKENS]
    experts, seed = state["num_experts"], state["seed"]
    temperature = used.pop("temperature", 1)
    shaken = {
        "noise": used.pop("noise", 0),
        "jitter_noise": used.pop("jitter_noise", 0),
    }
    clean = small.logits(tokens, experts, temperature=temperature)
    noisy = small.noisy_logits(
        tokens, experts, temperature=temperature, seed=seed, **shaken
    )
    for token, expert, amount in state["nudges"]:
        if token < len(tokens) and expert < experts:
            clean[token, expert] += amount
            noisy[token, expert] += amount
    if name == OWN:
        return own.route(noisy)
    if name == "hash":
        router = small.router(name, experts, seed=seed)
        ids = small.token_ids(tokens)
        return router(clean.new_zeros(len(tokens), router.d_model), token_ids=ids)
    router = small.router(name, experts, **used)
    padding = -len(tokens) % (used.get("group_size") or 1)
    mask = torch.arange(len(tokens) + padding) < len(tokens) if padding else None
    zeros = clean.new_zeros(padding, experts)
    return router.route(
        torch.cat([clean, zeros]), mask, noisy_logits=torch.cat([noisy, zeros])
    )


def table(state: Mapping[str, Any], routing: Routing) -> dict[str, Any]:
    """A table for the page; rows (token, expert, choice, position, weight, kept).

    Raises:
        ValueError: ``routing`` is no table of the state's tokens and experts.
    """
    if not isinstance(routing, Routing):
        raise ValueError(f"route gave a {type(routing).__name__}: give a Routing")
    shape = [len(tokenize(state["text"])[:MAX_TOKENS]), state["num_experts"]]
    if list(routing.router_probs.shape) != shape:
        raise ValueError(
            f"route gave a table for {list(routing.router_probs.shape)} tokens and"
            f" experts: give one for {shape}"
        )
    probs = routing.router_probs.detach().nan_to_num()
    columns = (
        routing.token_index,
        routing.expert_index,
        routing.position_in_expert,
        routing.combine_weights.detach().nan_to_num(),
        routing.kept,
    )
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    asked: list[list[int]] = [[] for _ in probs]
    for token, expert, *_ in rows:
        asked[token].append(expert)
    for experts, row in zip(asked, probs.tolist(), strict=True):
        experts.sort(key=row.__getitem__, reverse=True)  # by preference
    return {
        "text": state["text"],
        "numExperts": state["num_experts"],
        "capacity": routing.capacity,
        "groupSize": routing.group_size,
        "probs": compact(probs),
        "rows": compact(
            (token, expert, asked[token].index(expert), place, weight, kept)
            for token, expert, place, weight, kept in rows
        ),
    }


def alt_text(title: str, routing: Routing) -> str:
    """What the picture shows, in words."""
    asked, kept = int(routing.real_rows.sum()), int(routing.kept.sum())
    demand = routing.demand_per_expert
    tokens = int(
        routing.real_rows.new_zeros(routing.num_tokens)
        .index_fill(0, routing.token_index[routing.real_rows], True)
        .sum()
    )
    served = len(set(routing.token_index[routing.kept].tolist()))
    return (
        f"{title}: {tokens} tokens, {routing.num_experts} experts; {kept} of {asked}"
        f" assignments kept, {tokens - served} tokens without an expert; the busiest"
        f" expert is asked {int(demand.max())} times."
    )
