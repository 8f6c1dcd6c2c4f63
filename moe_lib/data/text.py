"""Bytes of four domains that every installation has: text to learn language from.

English technical prose (docstrings), Python (the standard library), C++ (torch's
headers) and names in some 300 languages (CLDR). Nothing is downloaded; versions of
the packages change the bytes, so print a `DomainText` beside every result.
"""

from __future__ import annotations

import hashlib
import random
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import torch

from moe_lib.checks import require_count
from moe_lib.data import cldr, sources
from moe_lib.data.domain_text import DomainText

PROSE_PACKAGES = ("torch", "numpy", "scipy", "sklearn", "sympy")
PER_FILE = 32_000  # bytes: no single file may fill the held-out part


@lru_cache(maxsize=2)
def load_text(
    max_bytes: int = 2_600_000, *, heldout_share: float = 0.05, seed: int = 0
) -> DomainText:
    """The same number of bytes of each domain; takes about two seconds.

    Files (names: lines) are shuffled first and the end of each domain is held out, so
    that its bytes come from files that training hardly ever sees (names: never).

    Args:
        max_bytes: per domain; the smallest domain sets the size of all.
        heldout_share: of each domain's bytes.
        seed: of the shuffling.

    Raises:
        ValueError: a source is missing, or a part would be empty.
    """
    require_count("max_bytes", max_bytes)
    pieces: dict[str, Callable[[random.Random], Iterable[bytes]]] = {
        "English": _docstrings,
        "Python": _standard_library,
        "C++": _headers,
        "names": _names,
    }
    parts = {}
    for domain, source in pieces.items():
        part = bytearray()
        for piece in source(random.Random(seed)):
            part += piece
            if len(part) >= max_bytes:
                break
        if not part:
            raise ValueError(f"no {domain} text found: install torch and Babel anew")
        parts[domain] = part
    size = min(max_bytes, *map(len, parts.values()))
    num_heldout = round(heldout_share * size)
    if not 0 < num_heldout < size:
        raise ValueError(f"heldout_share={heldout_share}: give a share between 0 and 1")
    every = torch.stack(
        [torch.frombuffer(part[:size], dtype=torch.uint8) for part in parts.values()]
    )
    return DomainText(
        train=every[:, :-num_heldout].contiguous(),
        heldout=every[:, -num_heldout:].contiguous(),
        domains=tuple(parts),
        sha256=tuple(
            hashlib.sha256(part[:size]).hexdigest() for part in parts.values()
        ),
    )


def _contents(files: list[Path], rng: random.Random) -> Iterator[bytes]:
    rng.shuffle(files)
    for file in files:
        yield file.read_bytes()[:PER_FILE].replace(b"\r\n", b"\n")


def _standard_library(rng: random.Random) -> Iterator[bytes]:
    return _contents(sources.files(sysconfig.get_path("stdlib"), ".py"), rng)


def _headers(rng: random.Random) -> Iterator[bytes]:
    return _contents(sources.files(sources.folder("torch") / "include", ".h"), rng)


def _names(rng: random.Random) -> Iterator[bytes]:
    lines = {
        name
        for language in cldr.language_codes()
        for table in cldr.names(language).values()
        for name in table.values()
    }
    shuffled = sorted(lines)
    rng.shuffle(shuffled)
    return (f"{line}\n".encode() for line in shuffled)


def _docstrings(rng: random.Random) -> Iterator[bytes]:
    for _, text in sources.docstrings(PROSE_PACKAGES, rng):
        yield f"{text}\n\n".encode(errors="replace")
