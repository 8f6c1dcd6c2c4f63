"""Hashed n-gram tables: a huge sparse memory without any router."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lib.checks import require_count
from moe_lib.models.byte_tables import NO_BYTE

HALF, ODD = 0xFFFFFFFF, 0x045D9F3B  # 32 bits, and a multiplier that mixes them


class NGramTables(nn.Module):
    """For the last 2, 3, ... bytes together, one row of a table each, summed.

    Rows are found by a hash, so n-grams share them where there are too few. A token
    reads one row for each n however large the tables are: a sparse layer whose routing
    is fixed and whose experts are vectors.

    Args:
        rows: of each table.
        d_model: width of the output, whose variance starts as 0.36 in all.
        orders: the lengths n.

    Attributes:
        tables: ``[len(orders), rows, d_model]``.
    """

    def __init__(
        self, rows: int, d_model: int, orders: tuple[int, ...] = (2, 3, 4)
    ) -> None:
        super().__init__()
        self.rows, self.orders = require_count("rows", rows), orders
        require_count("d_model", d_model)
        self.tables = nn.Parameter(torch.empty(len(orders), rows, d_model))
        nn.init.normal_(self.tables, std=0.6 / len(orders) ** 0.5)

    def row_numbers(self, inputs: Tensor) -> Tensor:
        """``[B, L]`` int64 -> ``[len(orders), B, L]``: the row of each n-gram."""
        length = inputs.shape[1]
        padded = F.pad(inputs, (max(self.orders) - 1, 0), value=NO_BYTE)
        back = [
            padded[:, max(self.orders) - 1 - n :][:, :length]
            for n in range(max(self.orders))
        ]
        found = []
        for order in self.orders:
            number = torch.full_like(inputs, order)  # equal n-grams of unequal n differ
            for byte in back[:order]:
                number = (number * (NO_BYTE + 1) + byte) & HALF
                number = ((number ^ (number >> 16)) * ODD) & HALF
            found.append((number ^ (number >> 16)) % self.rows)
        return torch.stack(found)

    def forward(self, inputs: Tensor) -> Tensor:
        """Every position of ``inputs`` ``[B, L]`` int64: ``[B, L, d_model]``."""
        rows = self.row_numbers(inputs)
        parts = zip(self.tables.unbind(0), rows.unbind(0), strict=True)
        return sum(F.embedding(row, table) for table, row in parts)
