"""What the pictures of a routing say, in words: samples, alt texts, tokens' texts."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from moe_lib.figures.grammar import (
    DECLINED,
    FULL,
    Load,
    load_summary,
    marks,
    unserved,
)
from moe_lib.notation import letter
from moe_lib.routing import Routing


def sample(count: int, most: int, things: str = "tokens") -> tuple[list[int], str]:
    """At most ``most`` of 0..count-1, evenly spaced, and the sentence that says so.

    The sentence is empty where all are taken: "64 of 2,000 tokens, evenly spaced".
    """
    if count <= most:
        return list(range(count)), ""
    picked = np.linspace(0, count - 1, most).round().astype(int).tolist()
    return picked, f"{most:,} of {count:,} {things}, evenly spaced"


def sample_tokens(routing: Routing, most: int) -> tuple[list[int], str]:
    """Real tokens to show, and what is left out, in words; padding is never shown."""
    real = real_tokens(routing)
    picked, said = sample(len(real), most)
    padding = routing.num_tokens - len(real)
    left = f"{counted(padding, 'padding token')} left out" if padding else ""
    return [real[i] for i in picked], "; ".join(filter(None, (said, left)))


def require_tokens(tokens: Sequence[str] | None, routing: Routing) -> list[str]:
    """The tokens' texts, safe for plotly; their numbers, from 1, where None is given.

    Raises:
        ValueError: not one text for each token.
    """
    if tokens is None:
        return [str(t + 1) for t in range(routing.num_tokens)]
    if isinstance(tokens, str) or len(tokens) != routing.num_tokens:
        given = "one text" if isinstance(tokens, str) else f"{len(tokens)} texts"
        raise ValueError(
            f"tokens holds {given} but the routing has {routing.num_tokens} tokens:"
            " give a list with one text for each"
        )
    return [plain(text) for text in tokens]


def plain(text: str, most: int = 24) -> str:
    """A token's text that plotly shows as it is: no markup, no formula, no line end."""
    text = text.replace("\n", "↵").strip() or "␣"
    if len(text) > most:
        text = text[: most - 1] + "…"
    return html.escape(text, quote=False).replace("$", "&#36;")


def counted(number: int, thing: str) -> str:
    """ "1 token", "2,000 tokens"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def over_capacity(load: Load, most: int = 3) -> str:
    """Words like "expert D is over capacity by 12 tokens", worst first; or none."""
    worst = sorted(range(len(load.over)), key=lambda e: -load.over[e])
    worst = [e for e in worst if load.over[e]]
    told = [
        f"expert {letter(e)} is over capacity by {counted(load.over[e], 'token')}"
        for e in worst[:most]
    ]
    if len(worst) > most:
        told.append(f"{counted(len(worst) - most, 'more expert')} over capacity")
    return "; ".join(told)


def fates(routing: Routing) -> str:
    """Words like "25 of 32 assignments kept, 7 dropped; 1 token without an expert"."""
    rows = marks(routing)
    asked, full = int(rows.real.sum()), int((rows.fate == FULL).sum())
    declined = int((rows.fate == DECLINED).sum())
    told = f"{int(rows.kept.sum()):,} of {counted(asked, 'assignment')} kept"
    told += f", {full:,} dropped" if full else ""
    told += f", {declined:,} declined by lot" if declined else ""
    alone = len(unserved(routing))
    if alone:
        told += f"; {counted(alone, 'token')} without an expert"
    return told


def story(routing: Routing) -> str:
    """`fates` and `over_capacity` in whole sentences, for an alt text."""
    over = over_capacity(load_summary(routing))
    return f"{fates(routing)}." + (f" {over[0].upper()}{over[1:]}." if over else "")


def real_tokens(routing: Routing) -> list[int]:
    """The tokens that are not padding."""
    if routing.token_mask is None:
        return list(range(routing.num_tokens))
    return routing.token_mask.nonzero().flatten().tolist()
