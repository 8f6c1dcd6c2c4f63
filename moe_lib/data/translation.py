"""Translation into English from ten languages of unequal size, made by rule.

Babel writes dates, lists of countries and of languages, quantities and time spans in
any language of CLDR; the same thing written in two languages is a pair. Grammar,
script and word order are real (genders, cases, Arabic, Greek, Japanese dates), the
sentences are not.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import torch
from torch import Tensor

from moe_lib.checks import require_count
from moe_lib.data import cldr
from moe_lib.data.characters import PADDING, Characters

SIZES = {
    "fr": 8000, "es": 8000, "de": 8000, "ru": 4000, "tr": 4000,
    "fi": 2000, "ja": 2000, "hi": 1000, "sw": 500, "el": 500,
}  # fmt: skip
SHARES = {"date": 2, "territories": 3, "unit": 1, "time span": 1, "languages": 2}
SECONDS = [60, 3600, 86_400, 604_800, 2_592_000, 31_536_000]  # a minute .. a year


@dataclass(frozen=True, eq=False)
class Pairs:
    """N pairs, one a row.

    source ``[N, S]``, target ``[N, L]`` (with `START`): int64 characters, padded.
    language, kind: ``[N]`` int64. source_text, target_text: N strings.
    """

    source: Tensor
    target: Tensor
    language: Tensor
    kind: Tensor
    source_text: tuple[str, ...]
    target_text: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.language)

    def to(self, device: torch.device | str) -> Pairs:
        """The same pairs on another device."""
        names = ("source", "target", "language", "kind")
        return replace(self, **{n: getattr(self, n).to(device) for n in names})

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """source, target and language of ``rows``, without needless padding."""
        source, target = self.source[rows], self.target[rows]
        longest = [int((t != PADDING).any(dim=0).sum()) for t in (source, target)]
        return source[:, : longest[0]], target[:, : longest[1]], self.language[rows]


@dataclass(frozen=True, eq=False)
class Translation:
    """Pairs to learn from and to be judged by; languages and kinds by number.

    temperature: a language with n pairs is drawn in proportion to ``n ** temperature``.
    """

    train: Pairs
    test: Pairs
    languages: tuple[str, ...]
    kinds: tuple[str, ...]
    characters: Characters
    temperature: float

    def __repr__(self) -> str:
        n = self.train.language.bincount(minlength=len(self.languages)).tolist()
        sizes = ", ".join(f"{c} {k}" for c, k in zip(self.languages, n, strict=True))
        return (
            f"Translation into English: {len(self.train)} pairs ({sizes}),"
            f" {len(self.test)} to test, {len(self.characters)} characters"
        )

    def to(self, device: torch.device | str) -> Translation:
        """The same pairs on another device."""
        return replace(self, train=self.train.to(device), test=self.test.to(device))

    def draw(
        self, size: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A training batch: source ``[size, S]``, target ``[size, L]``, language."""
        n = self.train.language.bincount().double()
        weight = n.pow(self.temperature - 1)[self.train.language]
        rows = torch.multinomial(weight, size, replacement=True, generator=generator)
        return self.train.batch(rows)


def load_translation(
    sizes: Mapping[str, int] = SIZES,
    *,
    num_test: int = 80,
    max_length: int = 48,
    temperature: float = 0.7,
    seed: int = 0,
) -> Translation:
    """Make the pairs; 38,000 of them take about two seconds.

    Args:
        sizes: language code -> number of training pairs.
        num_test: per language, strings that its training part does not have.
        max_length: characters; a pair with a longer side is not taken. A model needs
            one position more, for `START` or `END`.
        temperature: see `Translation`.
        seed: of everything random here.

    Raises:
        ValueError: an unknown language, or a count below 1.
    """
    require_count("num_test", num_test)
    require_count("max_length", max_length, minimum=32)  # or no date would fit
    kinds, total = tuple(SHARES), sum(SHARES.values())
    parts: tuple[list[tuple[int, int, str, str]], ...] = ([], [])
    for number, (language, size) in enumerate(sizes.items()):
        require_count(f"sizes[{language!r}]", size)
        rng = random.Random(f"{seed} {language}")
        made = _make_pairs(language, size + num_test, max_length, rng)
        left = {kind: num_test * SHARES[kind] // total for kind in kinds}
        left["territories"] += num_test - sum(left.values())
        for source, (kind, target) in made.items():
            tested = left[kind] > 0
            left[kind] -= tested
            parts[tested].append((number, kinds.index(kind), source, target))
    characters = Characters(text for row in parts[0] for text in row[2:])
    train, test = (_encode(part, characters) for part in parts)
    return Translation(train, test, tuple(sizes), kinds, characters, temperature)


def _encode(rows: list[tuple[int, int, str, str]], characters: Characters) -> Pairs:
    language, kind, source, target = zip(*rows, strict=True)
    return Pairs(
        characters.encode(source),
        characters.encode(target, start=True),
        torch.tensor(language),
        torch.tensor(kind),
        source,
        target,
    )


def _make_pairs(
    language: str, number: int, max_length: int, rng: random.Random
) -> dict[str, tuple[str, str]]:
    """``source -> (kind, English)``, that many different sources."""
    locales = [cldr.locale(language), cldr.locale("en")]
    units = [set(locale.unit_display_names) for locale in locales]
    known = {
        "territories": cldr.shared_codes(language, "territory"),
        "languages": cldr.shared_codes(language, "language"),
        "unit": sorted(set.intersection(*units)),
    }
    kinds = [kind for kind, share in SHARES.items() for _ in range(share)]
    made: dict[str, tuple[str, str]] = {}
    while len(made) < number:
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
