"""The two ends of a language model: tokens to vectors, vectors to logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lib.checks import require_count
from moe_lib.models.byte_tables import ByteTables


class Tokens(nn.Module):
    """Vectors for tokens at their positions, and logits for the next ones.

    With one table for input and output (tied, as in Press and Wolf, 2017); or, for
    bytes, with `ByteTables` at the input and a linear layer at the output.

    Args:
        vocabulary: V, number of different tokens; 256 for bytes.
        d_model: width.
        max_length: positions that are learnt.
        byte_width: None for the tied table; else the width of the byte tables.
    """

    def __init__(
        self,
        vocabulary: int,
        d_model: int,
        max_length: int,
        byte_width: int | None = None,
    ) -> None:
        super().__init__()
        require_count("vocabulary", vocabulary)
        self.max_length = require_count("max_length", max_length)
        self.scale = d_model**0.5
        if byte_width is None:
            self.table = nn.Parameter(torch.empty(vocabulary, d_model))
            # so that both the scaled inputs and the logits start with variance 1
            nn.init.normal_(self.table, std=d_model**-0.5)
        else:
            self.byte_tables = ByteTables(byte_width, d_model)
            self.head = nn.Linear(d_model, vocabulary)
        self.tied = byte_width is None
        self.positions = nn.Parameter(torch.empty(max_length, d_model))
        nn.init.normal_(self.positions, std=0.02)

    def embed(self, tokens: Tensor) -> Tensor:
        """``[B, L]`` int64 -> ``[B, L, d_model]``.

        Raises:
            ValueError: more positions than were learnt.
        """
        length = tokens.shape[1]
        if length > self.max_length:
            raise ValueError(
                f"{length} tokens but max_length={self.max_length}: shorten the input,"
                " or build the model for more"
            )
        if self.tied:
            x = F.embedding(tokens, self.table) * self.scale
        else:
            x = self.byte_tables(tokens)
        return x + self.positions[:length]

    def logits(self, h: Tensor) -> Tensor:
        """``[B, L, d_model]`` -> ``[B, L, V]``."""
        return F.linear(h, self.table) if self.tied else self.head(h)
