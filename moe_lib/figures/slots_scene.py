"""The reader's sentence in the experts' buffers: two sliders, a wall that moves."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from moe_lib.figures.grammar import marks, unserved
from moe_lib.figures.slots_panels import (
    GAP,
    LINE,
    buffers_panel,
    lay_out,
    sentence_panel,
)
from moe_lib.figures.words import counted, fates
from moe_lib.models.small_router import SmallRouter, tokenize
from moe_lib.routing import Routing

FACTORS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
MOST = 32  # tokens of a sentence; a shorter one is padded to as many


def slots_scene(
    sentence: str,
    *,
    num_experts: int = 4,
    capacity_factors: Sequence[float] = FACTORS,
    groups: Sequence[int] = (1, 2, 4),
) -> dict:
    """A Player scene: the sentence, and each expert's buffer in each group.

    A small router, trained in the course, sends each token to two experts (always:
    the lottery for the second is left out). Padding fills the sentence up to 32
    tokens, so that groups have whole slots; it takes none.

    Args:
        sentence: its first 32 tokens are routed.
        num_experts: E: 2, 4, 8 or 16.
        capacity_factors: of the slider. groups: of the other slider, divisors of 32.

    Raises:
        ValueError: a sentence without a word; a number of groups that does not divide.
    """
    tokens = tokenize(sentence)[:MOST]
    if not tokens:
        raise ValueError(f"sentence={sentence!r} has no word: give at least one")
    for count in groups:
        if MOST % count:
            raise ValueError(
                f"groups={list(groups)}: {count} does not divide {MOST} tokens, give"
                " divisors"
            )
    small = SmallRouter.load()
    logits = small.logits(tokens, num_experts)
    logits = torch.cat([logits, logits.new_zeros(MOST - len(tokens), num_experts)])
    mask = torch.arange(MOST) < len(tokens)

    def table(factor: float, count: int) -> Routing:
        router = small.router(
            "gshard", num_experts, capacity_factor=factor, group_size=MOST // count
        )
        return router.route(logits, mask)

    places = lay_out(tokens)
    lines = 1 + max(line for _, line in places)
    tables = [[table(factor, count) for factor in capacity_factors] for count in groups]
    start = min(range(len(tables[0])), key=lambda i: abs(capacity_factors[i] - 1))
    tightest, widest = tables[-1][0], tables[0][-1]
    wide = MOST + GAP * (max(groups) - 1)
    return {
        "title": "Who gets a place, and who is too late?",
        "alt": f"Left: a sentence of {counted(len(tokens), 'token')}, under each word"
        " the letters of the experts that read it. Right: a lane for each of"
        f" {num_experts} experts with its places up to a wall, the tokens in order of"
        f" arrival, those beyond the wall hollow. {counted(groups[-1], 'group')},"
        f" capacity factor {capacity_factors[0]:g}: {fates(tightest)}."
        f" {counted(groups[0], 'group')}, factor {capacity_factors[-1]:g}:"
        f" {fates(widest)}.",
        "caption": "First choices (discs) queue before second choices (diamonds)."
        " Beyond the wall there is no place: the mark is hollow, and a word that two"
        " experts turned away is struck out.",
        "slider": {"label": "capacity factor",
                   "values": [f"{factor:g}" for factor in capacity_factors]},
        "variants": {"label": "groups", "names": [str(count) for count in groups],
                     "slider": True},
        "start": start,
        "play": False,
        "panels": [
            {"title": "Who reads which word", "weight": 4,
             "layers": [{"type": "text", "x": x, "y": line, "text": token}
                        for token, (x, line) in zip(tokens, places, strict=True)],
             "x": {"range": [-1, LINE + 1], "ticks": []},
             "y": {"range": [lines - 0.2, -0.6], "ticks": []}},
            {"title": "The experts' buffers", "weight": 5, "layers": [],
             "x": {"range": [-2.4, wide + 0.6], "ticks": []},
             "y": {"range": [num_experts - 0.4, -1], "ticks": []}},
        ],
        "legend": [
            {"shape": "disc", "text": "first choice"},
            {"shape": "diamond", "text": "second choice"},
            {"shape": "disc", "hollow": True, "text": "too late"},
        ],
        "states": [[_state(routing, tokens, places) for routing in row]
                   for row in tables],
    }  # fmt: skip


def _state(
    routing: Routing, tokens: list[str], places: list[tuple[float, int]]
) -> dict:
    rows, alone = marks(routing), unserved(routing)
    real = [i for i in range(len(rows.token)) if rows.real[i]]
    groups = routing.num_tokens // routing.group_size
    empty = groups * routing.capacity * routing.num_experts - int(rows.kept.sum())
    late = sum(not rows.kept[i] for i in real)
    unread = ", ".join(f"\u201c{tokens[t]}\u201d" for t in alone)
    return {
        "panels": [
            sentence_panel(rows, real, routing.group_size, tokens, places, alone),
            buffers_panel(rows, real, routing),
        ],
        "readout": [
            ["capacity C", str(routing.capacity)],
            ["too late", f"{late} of {len(real)}"],
            ["words that nobody reads", str(len(alone))],
            ["empty places", str(empty)],
        ],
        "caption": f"Nobody reads {unread}." if alone else "Every word is read.",
    }
