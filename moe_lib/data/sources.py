"""Where text is found on this machine: files of installed packages, docstrings."""

from __future__ import annotations

import ast
import os
import random
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

# tests and generated files repeat themselves; the last two hold other people's code
LEFT_OUT = {"test", "tests", "testing", "ops", "site-packages", "dist-packages"}


def folder(package: str) -> Path:
    """Where an installed package lies.

    Raises:
        ValueError: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ValueError(f"package {package} is missing: pip install {package}")
    return Path(spec.origin).parent


def files(root: str | Path, suffix: str) -> list[Path]:
    """All files under ``root``, in an order that does not depend on the disk."""
    found = []
    for place, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in LEFT_OUT]
        found += [Path(place, name) for name in names if name.endswith(suffix)]
    return sorted(found)


def docstrings(
    packages: Iterable[str], rng: random.Random
) -> Iterator[tuple[str, str]]:
    """(package, docstring), file by file in random order, each docstring once."""
    every = [(name, file) for name in packages for file in files(folder(name), ".py")]
    rng.shuffle(every)
    seen = set()
    for package, file in every:
        source = file.read_bytes()
        # Parsing is what costs time here: skip files that are mostly code.
        quoted = sum(map(len, source.split(b'"""')[1::2]))
        if quoted < 0.4 * len(source):
            continue
        for text in _docstrings_in(ast.parse(source)):
            if text not in seen:
                seen.add(text)
                yield package, text


def _docstrings_in(node: ast.AST) -> Iterator[str]:
    if text := ast.get_docstring(node):
        yield text
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _docstrings_in(child)
