"""The language model of 2017: a MoE between two LSTM layers.

Shazeer et al. (2017), appendix C.1: embedding, LSTM, MoE, LSTM, softmax. The MoE takes
all time steps of all sequences at once ("convolutionally"), so that each expert gets a
batch worth its while; a sigmoid follows it, and every layer but the first has dropout
and a residual connection.
"""

from __future__ import annotations

from torch import Tensor, nn

from moe_lib.models.ffn import MakeFFN, only_routings
from moe_lib.routing import Routing


class LSTMLanguageModel(nn.Module):
    """Embedding, LSTM, MoE, LSTM, softmax.

    Args:
        vocabulary: V, number of different tokens (257 for bytes and `NO_BYTE`).
        d_model: width of all layers.
        make_ffn: called once, with 0: builds the `MoE`, or a `DenseFFN`.
        dropout: share of each layer's output set to zero in training.
        sigmoid: squash the MoE's output into 0..1, as the paper does.
        residual: add each layer's input to its output.
    """

    def __init__(
        self,
        vocabulary: int,
        d_model: int,
        make_ffn: MakeFFN,
        *,
        dropout: float = 0.1,
        sigmoid: bool = True,
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, d_model)
        self.lstm_below = nn.LSTM(d_model, d_model, batch_first=True)
        self.ffn = make_ffn(0)
        self.lstm_above = nn.LSTM(d_model, d_model, batch_first=True)
        self.head = nn.Linear(d_model, vocabulary)
        self.dropout = nn.Dropout(dropout)
        self.sigmoid, self.residual = sigmoid, residual

    def forward(self, tokens: Tensor) -> tuple[Tensor, list[Routing]]:
        """``tokens`` ``[B, L]`` int64 -> logits ``[B, L, V]``, the MoE's routing."""
        x = self.dropout(self.embedding(tokens))
        x = self._join(x, self.lstm_below(x)[0])
        y, routing = self.ffn(x, None, tokens)
        x = self._join(x, y.sigmoid() if self.sigmoid else y)
        x = self._join(x, self.lstm_above(x)[0])
        return self.head(x), only_routings([routing])

    def _join(self, x: Tensor, y: Tensor) -> Tensor:
        y = self.dropout(y)
        return x + y if self.residual else y
