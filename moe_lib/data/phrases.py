"""Phrases in two languages, drawn at random and written by Babel's rules."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from moe_lib.data import cldr

SHARES = {"date": 2, "territories": 3, "unit": 1, "time span": 1, "languages": 2}
SECONDS = [60, 3600, 86_400, 604_800, 2_592_000, 31_536_000]  # a minute .. a year


def make_pairs(
    language: str,
    number: int,
    shares: Mapping[str, int],
    max_length: int,
    rng: random.Random,
) -> dict[str, tuple[str, str]]:
    """``source -> (kind, English)``, that many different sources.

    Args:
        language: of the sources, such as "de".
        shares: kind -> how often it is drawn, beside the others; see `SHARES`.
        max_length: characters that neither phrase may exceed.
        rng: makes all choices.

    Raises:
        ValueError: Babel does not know the language, or so many different phrases are
            not found in twenty times as many draws.
    """
    locales = [cldr.locale(language), cldr.locale("en")]
    units = [set(locale.unit_display_names) for locale in locales]
    known = {
        "territories": cldr.shared_codes(language, "territory"),
        "languages": cldr.shared_codes(language, "language"),
        "unit": sorted(set.intersection(*units)),
    }
    kinds = [kind for kind, share in shares.items() for _ in range(share)]
    made: dict[str, tuple[str, str]] = {}
    drawn = 0
    while len(made) < number:
        drawn += 1
        if drawn > 20 * number:
            raise ValueError(
                f"{language}: {len(made)} different phrases of {number} after {drawn}"
                " draws: ask for fewer pairs, or for lists too (shares)"
            )
        kind = rng.choice(kinds)
        write = _something(kind, known.get(kind, []), rng)
        source, target = map(write, locales)
        if max(len(source), len(target)) <= max_length:
            made.setdefault(source, (kind, target))
    return made


def _something(kind: str, known: list[str], rng: random.Random) -> Callable[[Any], str]:
    """Something to say, drawn at random: a function that says it in a locale."""
    from babel import dates, lists, units

    if kind == "date":
        day = date(1900, 1, 1) + timedelta(days=rng.randrange(55_000))
        style = rng.choice(["full", "long", "medium"])
        return lambda locale: dates.format_date(day, style, locale)
    if kind == "time span":
        span = timedelta(seconds=rng.choice(SECONDS) * rng.randint(-99, 99))
        ago = rng.random() < 0.5
        return lambda locale: dates.format_timedelta(
            span, add_direction=ago, locale=locale
        )
    if kind == "unit":
        unit, amount = rng.choice(known), rng.randint(1, 99)
        return lambda locale: units.format_unit(amount, unit, "long", locale=locale)
    table = {"territories": "territory", "languages": "language"}[kind]
    codes = rng.sample(known, rng.choice([2, 3]))
    return lambda locale: lists.format_list(
        [cldr.names(locale.language)[table][code] for code in codes], locale=locale
    )
