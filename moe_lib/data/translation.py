"""Translation into English from ten languages of unequal size, made by rule.

Babel writes dates, lists of countries and of languages, quantities and time spans in
any language of CLDR; the same thing written in two languages is a pair. Grammar,
script and word order are real (genders, cases, Arabic, Greek, Japanese dates), the
sentences are not.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from moe_lib.checks import require_choice, require_count
from moe_lib.data.characters import PADDING, Characters
from moe_lib.data.phrases import SHARES, make_pairs

SIZES = {
    "fr": 8000, "es": 8000, "de": 8000, "ru": 4000, "tr": 4000,
    "fi": 2000, "ja": 2000, "hi": 1000, "sw": 500, "el": 500,
}  # fmt: skip


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
    shares: Mapping[str, int] = SHARES,
    *,
    num_test: int = 80,
    max_length: int = 48,
    temperature: float = 0.7,
    seed: int = 0,
) -> Translation:
    """Make the pairs; 38,000 of them take about two seconds.

    Args:
        sizes: language code -> number of training pairs.
        shares: kind of phrase -> how often it is drawn, beside the others.
        num_test: per language, strings that its training part does not have.
        max_length: characters; a pair with a longer side is not taken. A model needs
            one position more, for `START` or `END`.
        temperature: see `Translation`.
        seed: of everything random here.

    Raises:
        ValueError: an unknown language or kind, a count below 1, or more pairs than
            the kinds can make.
    """
    require_count("num_test", num_test)
    require_count("max_length", max_length, minimum=32)  # or no date would fit
    for kind, share in shares.items():
        require_choice("shares: kind", kind, SHARES)
        require_count(f"shares[{kind!r}]", share)
    kinds, total = tuple(shares), sum(shares.values())
    if not kinds:
        raise ValueError(f"shares={{}}: name a kind at least, of {', '.join(SHARES)}")
    parts: tuple[list[tuple[int, int, str, str]], ...] = ([], [])
    for number, (language, size) in enumerate(sizes.items()):
        require_count(f"sizes[{language!r}]", size)
        rng = random.Random(f"{seed} {language}")
        made = make_pairs(language, size + num_test, shares, max_length, rng)
        left = {kind: num_test * shares[kind] // total for kind in kinds}
        left[max(kinds, key=shares.get)] += num_test - sum(left.values())
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
