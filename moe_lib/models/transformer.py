"""Compact transformers: decoder, encoder, and both, with a MoE in any layer.

Vaswani et al. (2017), "Attention Is All You Need", with the LayerNorm before each part
and learnt positions. Padding stands at the end of a sequence.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from moe_lib.models.blocks import Stack
from moe_lib.models.ffn import MakeFFN
from moe_lib.models.tokens import Tokens
from moe_lib.routing import Routing


class TransformerLM(nn.Module):
    """A language model: logits for every position.

    Args:
        vocabulary: V, number of different tokens; 256 for bytes.
        d_model, num_heads, num_layers: the usual.
        make_ffn: builds the FFN of layer 0, 1, ...: a `DenseFFN` or a `MoE`;
            `moe_every` alternates.
        max_length: longest sequence.
        causal: True, a decoder: position t sees 0..t and tells token t + 1. False, an
            encoder: it sees everything, to tell masked tokens. A `HashRouter` in it
            goes by the token before, since the token itself may be hidden.
        byte_width: read bytes through `ByteTables` of this width; None: one table of
            tokens, tied with the output's. The tables look back only.
        dropout: share of each part's output set to zero in training.
    """

    def __init__(
        self,
        vocabulary: int,
        d_model: int,
        num_heads: int,
        num_layers: int,
        make_ffn: MakeFFN,
        *,
        max_length: int,
        causal: bool = True,
        byte_width: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.causal = causal
        self.tokens = Tokens(vocabulary, d_model, max_length, byte_width)
        self.stack = Stack(
            d_model, num_heads, num_layers, make_ffn, causal=causal, dropout=dropout
        )

    def forward(
        self, tokens: Tensor, token_mask: Tensor | None = None
    ) -> tuple[Tensor, list[Routing]]:
        """``tokens`` ``[B, L]`` int64, ``token_mask`` ``[B, L]`` bool (False: padding)
        -> logits ``[B, L, V]``, routings by layer."""
        h, routings = self.hidden(tokens, token_mask)
        return self.tokens.logits(h), routings

    def hidden(
        self, tokens: Tensor, token_mask: Tensor | None = None
    ) -> tuple[Tensor, list[Routing]]:
        """What the logits are made of, ``[B, L, d_model]``, and the routings."""
        ids = tokens
        if not self.causal:
            ids = torch.cat([tokens[:, :1], tokens[:, :-1]], dim=1)
        return self.stack(self.tokens.embed(tokens), token_mask, ids)


class EncoderDecoder(nn.Module):
    """Sequence to sequence, as for translation; one table of tokens for both sides.

    Args:
        make_ffn: builds the FFNs of the encoder.
        make_decoder_ffn: those of the decoder; None: ``make_ffn`` again.
        The rest: as for `TransformerLM`; ``num_layers`` on each side.
    """

    def __init__(
        self,
        vocabulary: int,
        d_model: int,
        num_heads: int,
        num_layers: int,
        make_ffn: MakeFFN,
        *,
        max_length: int,
        make_decoder_ffn: MakeFFN | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.tokens = Tokens(vocabulary, d_model, max_length)
        shape, make = (d_model, num_heads, num_layers), make_decoder_ffn or make_ffn
        self.encoder = Stack(*shape, make_ffn, causal=False, dropout=dropout)
        self.decoder = Stack(*shape, make, causal=True, cross=True, dropout=dropout)

    def encode(
        self, source: Tensor, source_mask: Tensor | None = None
    ) -> tuple[Tensor, list[Routing]]:
        """``[B, S]`` -> memory ``[B, S, d_model]``, routings."""
        return self.encoder(self.tokens.embed(source), source_mask, source)

    def decode(
        self,
        target: Tensor,
        memory: Tensor,
        target_mask: Tensor | None = None,
        source_mask: Tensor | None = None,
    ) -> tuple[Tensor, list[Routing]]:
        """``[B, L]`` so far -> logits ``[B, L, V]`` of what comes next, routings."""
        x = self.tokens.embed(target)
        h, routings = self.decoder(x, target_mask, target, memory, source_mask)
        return self.tokens.logits(h), routings

    def forward(
        self,
        source: Tensor,
        target: Tensor,
        source_mask: Tensor | None = None,
        target_mask: Tensor | None = None,
    ) -> tuple[Tensor, list[Routing]]:
        """Logits ``[B, L, V]``; the encoder's routings, then the decoder's."""
        memory, encoding = self.encode(source, source_mask)
        logits, decoding = self.decode(target, memory, target_mask, source_mask)
        return logits, encoding + decoding
