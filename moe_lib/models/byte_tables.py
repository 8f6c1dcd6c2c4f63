"""Bytes in: one table for each of the last few positions, summed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lib.checks import require_count

NO_BYTE = 256  # padding, and what stands before the first byte


class ByteTables(nn.Module):
    """A short causal convolution over one-hot bytes.

    ``y_t = sum_i table[i, byte_{t - width + 1 + i}]``: the last table reads the byte
    itself, the first the byte ``width - 1`` before it. A byte alone says little; a
    few together, each with its place, are what a router can work with.

    Args:
        width: W, bytes that each position sees.
        d_model: width of the output, whose variance starts as 0.36 in all.

    Attributes:
        tables: ``[W, 257, d_model]``; row 256 is `NO_BYTE`.
    """

    def __init__(self, width: int, d_model: int) -> None:
        super().__init__()
        self.width = require_count("width", width)
        require_count("d_model", d_model)
        self.tables = nn.Parameter(torch.empty(width, NO_BYTE + 1, d_model))
        nn.init.normal_(self.tables, std=0.6 / width**0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        """Every position of ``inputs`` ``[B, L]`` int64: ``[B, L, d_model]``."""
        padded = F.pad(inputs, (self.width - 1, 0), value=NO_BYTE)
        windows = padded.unfold(1, self.width, 1)  # [B, L, W], a view
        return self.window(windows.flatten(0, 1)).view(*inputs.shape, -1)

    def window(self, windows: Tensor) -> Tensor:
        """Only the last position of ``windows`` ``[N, W]``: ``[N, d_model]``."""
        if windows.shape[-1] != self.width:
            raise ValueError(
                f"the windows have {windows.shape[-1]} bytes but there are"
                f" {self.width} tables: give [N, {self.width}]"
            )
        # One index_select per position: its backward is a third of embedding_bag's.
        columns, tables = windows.unbind(1), self.tables.unbind(0)
        y = tables[0].index_select(0, columns[0])
        for table, column in zip(tables[1:], columns[1:], strict=True):
            y = y + table.index_select(0, column)
        return y
