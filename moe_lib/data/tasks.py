"""Small classification tasks of real text, for fine-tuning: bytes in, a label out."""

from __future__ import annotations

import random
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from moe_lib.checks import require_count
from moe_lib.data import cldr, sources

PADDING = 256
LIBRARIES = ("torch", "numpy", "scipy", "sklearn", "sympy")
LANGUAGES = ("cs", "de", "el", "es", "fi", "fr", "hi", "hu", "it", "ja",
             "ko", "nl", "pl", "pt", "ru", "sv", "sw", "tr", "uk", "vi")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Examples:
    """N examples: ``bytes`` ``[N, L]`` int64, padded with 256; ``mask`` ``[N, L]``,
    False for padding; ``label`` ``[N]`` int64; ``text``: what the bytes say."""

    bytes: Tensor
    mask: Tensor
    label: Tensor
    text: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, eq=False)
class Task:
    """Examples to learn from and to be judged by; no text is in both."""

    name: str
    train: Examples
    test: Examples
    classes: tuple[str, ...]

    def __repr__(self) -> str:
        return (
            f"Task {self.name}: {len(self.train)} examples, {len(self.test)} to test,"
            f" {len(self.classes)} classes"
        )


def load_task(
    name: str,
    *,
    max_per_class: int = 1000,
    max_length: int = 64,
    test_share: float = 0.2,
    seed: int = 0,
) -> Task:
    """One of `TASKS`. A text that could have two labels is left out.

    Args:
        name: "docstring to library", "name to language", "name to kind" or
            "character to category".
        max_per_class: examples of each class, train and test together.
        max_length: bytes of each text that are kept.
        test_share: of the examples.
        seed: of the choice.

    Raises:
        ValueError: an unknown task, a count below 1, a share that leaves a part empty.
    """
    if name not in TASKS:
        raise ValueError(f"task {name!r} is unknown: choose from {', '.join(TASKS)}")
    require_count("max_per_class", max_per_class)
    require_count("max_length", max_length)
    rng = random.Random(f"{seed} {name}")
    labels: dict[str, set[str]] = defaultdict(set)
    for text, label in TASKS[name](rng, max_per_class):
        kept = text.encode(errors="ignore")[:max_length].decode(errors="ignore")
        labels[kept].add(label)
    by_label: dict[str, list[str]] = defaultdict(list)
    for text, its_labels in sorted(labels.items()):
        if len(its_labels) == 1:
            by_label[its_labels.pop()].append(text)
    classes = tuple(sorted(by_label))
    chosen = []
    for number, label in enumerate(classes):
        rng.shuffle(by_label[label])
        chosen += [(text, number) for text in by_label[label][:max_per_class]]
    rng.shuffle(chosen)
    num_test = round(test_share * len(chosen))
    if not 0 < num_test < len(chosen):
        raise ValueError(f"test_share={test_share}: give a share between 0 and 1")
    test, train = chosen[:num_test], chosen[num_test:]
    return Task(name, _encode(train, max_length), _encode(test, max_length), classes)


def _encode(chosen: list[tuple[str, int]], length: int) -> Examples:
    texts, labels = zip(*chosen, strict=True)
    table = torch.full((len(texts), length), PADDING)
    for row, text in zip(table, texts, strict=True):
        row[: len(text.encode())] = torch.tensor([*text.encode()])
    return Examples(table, table != PADDING, torch.tensor(labels), texts)


def _docstrings(rng: random.Random, wanted: int) -> Iterable[tuple[str, str]]:
    """First paragraphs and the library that they are from; enough to leave some out,
    not all there are, which would take long."""
    for library in LIBRARIES:
        for _, text in islice(sources.docstrings([library], rng), 2 * wanted):
            yield text.split("\n\n")[0], library


def _names(kind_not_language: bool) -> Iterable[tuple[str, str]]:
    english = {n for table in cldr.names("en").values() for n in table.values()}
    for language in LANGUAGES:
        for kind, table in cldr.names(language).items():
            for name in table.values():
                if name not in english:
                    yield name, kind if kind_not_language else language


def _characters(rng: random.Random, wanted: int) -> Iterable[tuple[str, str]]:
    """Names of Unicode's characters ("LATIN SMALL LETTER A") and their category."""
    for character in map(chr, range(sys.maxunicode + 1)):
        if name := unicodedata.name(character, ""):
            # thousands of ideographs and syllables have numbers for names
            if not name.startswith(("CJK", "HANGUL SYLLABLE", "TANGUT", "NUSHU")):
                yield name, unicodedata.category(character)


TASKS = {
    "docstring to library": _docstrings,
    "name to language": lambda rng, wanted: _names(kind_not_language=False),
    "name to kind": lambda rng, wanted: _names(kind_not_language=True),
    "character to category": _characters,
}
