"""Characters as numbers: a vocabulary with padding, start and end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

PADDING, START, END, UNKNOWN = range(4)


class Characters:
    """The characters of some texts, in order; 0 to 3 are `PADDING`, `START`, `END` and
    `UNKNOWN` (a character that those texts do not have)."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.symbols = ("", "", "", "\ufffd", *sorted(set().union(*texts)))
        self._number = {c: i for i, c in enumerate(self.symbols) if i > UNKNOWN}

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, texts: Sequence[str], *, start: bool = False) -> Tensor:
        """``[N, longest]`` int64: the characters, `END`, then padding.

        Args:
            start: put `START` before each text, as a decoder's input needs it.
        """
        first = [START] if start else []
        rows = [
            [*first, *(self._number.get(c, UNKNOWN) for c in text), END]
            for text in texts
        ]
        table = torch.full((len(rows), max(map(len, rows), default=0)), PADDING)
        for i, row in enumerate(rows):
            table[i, : len(row)] = torch.tensor(row)
        return table

    def decode(self, table: Tensor) -> list[str]:
        """What stands in each row of ``[N, L]`` before its first `END`."""
        texts = []
        for row in table.tolist():
            row = row[: row.index(END)] if END in row else row
            texts.append("".join(self.symbols[i] for i in row))
        return texts
