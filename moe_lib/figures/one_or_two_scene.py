"""The reader's sentence through top-2 and top-1, side by side: one slider."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from moe_lib.course.one_or_two import Bill, bill, route_both
from moe_lib.figures.grammar import marks, unserved
from moe_lib.figures.slots_panels import LINE, lay_out, sentence_panel
from moe_lib.figures.words import counted
from moe_lib.models.small_router import SmallRouter, tokenize
from moe_lib.routing import Routing

FACTORS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
MOST = 32  # tokens of a sentence


def one_or_two_scene(
    sentence: str,
    *,
    num_experts: int = 4,
    capacity_factors: Sequence[float] = FACTORS,
    d_model: int = 768,
    dtype: torch.dtype = torch.bfloat16,
) -> dict:
    """A Player scene: a small router, trained in the course, gives each token to its
    two best experts on the left and to the best alone on the right.

    Args:
        sentence: its first 32 tokens are routed.
        num_experts: E: 2, 4, 8 or 16.
        capacity_factors: of the slider; an expert has ``factor * tokens / E`` places
            on both sides.
        d_model, dtype: of the rows that travel.

    Raises:
        ValueError: a sentence without a word; no gate for so many experts.
    """
    tokens = tokenize(sentence)[:MOST]
    if not tokens:
        raise ValueError(f"sentence={sentence!r} has no word: give at least one")
    logits = SmallRouter.load().logits(tokens, num_experts)
    both = [route_both(logits, factor) for factor in capacity_factors]
    places = lay_out(tokens)
    lines = 1 + max(line for _, line in places)
    panel = {
        "layers": [{"type": "text", "x": x, "y": line, "text": token}
                   for token, (x, line) in zip(tokens, places, strict=True)],
        "x": {"range": [-1, LINE + 1], "ticks": []},
        "y": {"range": [lines - 0.2, -0.6], "ticks": []},
    }  # fmt: skip
    start = min(range(len(both)), key=lambda i: abs(capacity_factors[i] - 1))
    return {
        "title": "What does the second expert buy, and what does it cost?",
        "alt": f"A sentence of {counted(len(tokens), 'token')} twice, under each word"
        f" the letters of those of {num_experts} experts that read it: its two best on"
        " the left, the best alone on the right. " + " ".join(
            f"Capacity factor {capacity_factors[i]:g}: {_story(both[i])}"
            for i in sorted({0, start, len(both) - 1})
        ),
        "caption": "Both sides have the same places. A letter is an expert that reads"
        " the word, a hollow mark a choice that came too late (disc: first, diamond:"
        " second), and a word that nobody reads is struck out.",
        "slider": {"label": "capacity factor",
                   "values": [f"{factor:g}" for factor in capacity_factors]},
        "start": start,
        "play": False,
        "panels": [
            {"title": "Two experts for each word", **panel},
            {"title": "One expert for each word", **panel},
        ],
        "states": [[_state(tables, tokens, places, d_model, dtype) for tables in both]],
    }  # fmt: skip


def _state(
    tables: dict[str, Routing],
    tokens: list[str],
    places: list[tuple[float, int]],
    d_model: int,
    dtype: torch.dtype,
) -> dict:
    panels = []
    for routing in tables.values():
        rows = marks(routing)
        every = list(range(len(rows.token)))
        alone = unserved(routing)
        panels.append(sentence_panel(rows, every, len(tokens), tokens, places, alone))
    bills = [bill(routing) for routing in tables.values()]
    either = bills[0]
    padded_rows = 2 * either.num_experts * either.places

    def told(texts: Iterable[object]) -> str:  # of top-2, then of top-1
        return ", ".join(map(str, texts))

    return {
        "panels": panels,
        "readout": [
            ["places of each expert", str(either.places)],
            ["top-2, top-1: words unread", told(b.alone for b in bills)],
            ["too late", told(f"{b.late} of {b.choices}" for b in bills)],
            ["dense layers computed", told(f"{b.arithmetic:.2f}" for b in bills)],
            ["rows there and back", told(b.travelling for b in bills)],
            ["kB", told(round(b.payload(d_model, dtype) / 1e3) for b in bills)],
        ],
        "caption": "Where empty places are computed and sent as well, both sides cost"
        f" the same: {either.padded:.2f} dense layers, {padded_rows} rows.",
    }


def _story(tables: dict[str, Routing]) -> str:
    told = []
    for name, routing in tables.items():
        cost: Bill = bill(routing)
        told.append(
            f"{name} leaves {counted(cost.alone, 'word')} unread and computes"
            f" {counted(cost.rows, 'row')}"
        )
    return "; ".join(told) + "."
