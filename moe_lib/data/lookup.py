"""A task that is all memory: what is this name in English?

Nothing in "Deutschland" says "Germany"; a model knows it or does not. The facts are
CLDR's names of languages, territories, scripts and currencies.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from moe_lib.checks import require_count
from moe_lib.data import cldr

SIZES = {
    "fr": 1100, "es": 1000, "de": 800, "ru": 800, "tr": 800,
    "fi": 500, "ja": 500, "hi": 250, "sw": 120, "el": 120,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Facts:
    """N facts: ``features`` ``[N, d]`` float32 of the name, ``language`` and ``answer``
    ``[N]`` int64, and the ``name`` itself."""

    features: Tensor
    language: Tensor
    answer: Tensor
    name: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.answer)

    def to(self, device: torch.device | str) -> Facts:
        """The same facts on another device."""
        names = ("features", "language", "answer")
        return replace(self, **{n: getattr(self, n).to(device) for n in names})


@dataclass(frozen=True, eq=False)
class Lookup:
    """``seen`` facts to be learnt by heart, ``unseen`` ones that nobody is told.

    ``answers`` are the English names; every unseen answer is the answer of a seen fact
    of another language.
    """

    seen: Facts
    unseen: Facts
    languages: tuple[str, ...]
    answers: tuple[str, ...]

    def __repr__(self) -> str:
        n = self.seen.language.bincount(minlength=len(self.languages)).tolist()
        sizes = ", ".join(f"{c} {k}" for c, k in zip(self.languages, n, strict=True))
        return (
            f"Lookup: {len(self.seen)} facts ({sizes}), {len(self.unseen)} held out,"
            f" {len(self.answers)} answers"
        )

    def to(self, device: torch.device | str) -> Lookup:
        """The same facts on another device."""
        return replace(self, seen=self.seen.to(device), unseen=self.unseen.to(device))

    def draw(
        self, size: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """features, language and answer of random seen facts."""
        device = self.seen.answer.device
        rows = torch.randint(
            len(self.seen), (size,), generator=generator, device=device
        )
        return (
            self.seen.features[rows],
            self.seen.language[rows],
            self.seen.answer[rows],
        )


def load_lookup(
    sizes: Mapping[str, int] = SIZES,
    *,
    d_model: int = 16,
    num_unseen: int = 60,
    seed: int = 0,
) -> Lookup:
    """Collect the facts.

    Args:
        sizes: language code -> number of seen facts.
        d_model: width of the features, see `name_features`.
        num_unseen: held-out facts per language.
        seed: of the choice and of the features.

    Raises:
        ValueError: an unknown language, a count below 1, or more facts than there are.
    """
    require_count("num_unseen", num_unseen)
    seen: list[tuple[int, str, str]] = []
    spare: list[tuple[int, str, str]] = []
    for number, (language, size) in enumerate(sizes.items()):
        require_count(f"sizes[{language!r}]", size)
        facts = _facts(language)
        if size + num_unseen > len(facts):
            raise ValueError(
                f"sizes[{language!r}]={size} with num_unseen={num_unseen}: there are"
                f" {len(facts)} names, ask for fewer"
            )
        random.Random(f"{seed} {language}").shuffle(facts)
        seen += [(number, *fact) for fact in facts[:size]]
        spare += [(number, *fact) for fact in facts[size:]]
    answers = sorted({english for _, _, english in seen})
    unseen = _first_of_each(spare, set(answers), num_unseen, len(sizes))
    parts = [_encode(part, answers, d_model, seed) for part in (seen, unseen)]
    return Lookup(*parts, tuple(sizes), tuple(answers))


def name_features(names: Sequence[str], d_model: int, seed: int = 0) -> Tensor:
    """``[N, d_model]`` float32 of length 1: what the letters of a name look like.

    The sum of one frozen random vector for each run of 1 to 4 characters, so that
    similar names are near one another. Only sums of hashes: nothing is learnt.

    Raises:
        ValueError: ``d_model`` below 1.
    """
    require_count("d_model", d_model)
    buckets = 16_384
    draw = torch.Generator().manual_seed(seed)
    table = torch.randn(buckets, d_model, generator=draw)
    rows = []
    for name in names:
        text = f"<{name}>"
        runs = [text[i : i + n] for n in range(1, 5) for i in range(len(text) - n + 1)]
        hashes = torch.tensor([zlib.crc32(run.encode()) % buckets for run in runs])
        rows.append(table[hashes].sum(dim=0))
    return torch.nn.functional.normalize(torch.stack(rows), dim=1)


def _facts(language: str) -> list[tuple[str, str]]:
    """(name, English name) where the two differ; a name said twice is kept once."""
    english, facts = cldr.names("en"), {}
    for kind, table in cldr.names(language).items():
        for code in cldr.shared_codes(language, kind):
            if table[code] != english[kind][code]:
                facts.setdefault(table[code], english[kind][code])
    return sorted(facts.items())


def _first_of_each(
    spare: list[tuple[int, str, str]], answers: set[str], number: int, languages: int
) -> list[tuple[int, str, str]]:
    """Of each language the first ``number`` facts whose answer somebody is taught."""
    chosen = []
    for language in range(languages):
        fits = [f for f in spare if f[0] == language and f[2] in answers]
        chosen += fits[:number]
    return chosen


def _encode(
    facts: list[tuple[int, str, str]], answers: list[str], d_model: int, seed: int
) -> Facts:
    index = {english: i for i, english in enumerate(answers)}
    language, name, english = zip(*facts, strict=True)
    return Facts(
        name_features(name, d_model, seed),
        torch.tensor(language),
        torch.tensor([index[e] for e in english]),
        name,
    )
