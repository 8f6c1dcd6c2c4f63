"""What a run of chapter 2's language models depends on, and the models themselves.

Two models with one feed-forward layer each, dense or a mixture: the window MLP, whose
steps are cheap, and the paper's LSTM - MoE - LSTM.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from moe_lib.accounting import FeedForward
from moe_lib.checks import require_choice, require_count, require_top_k
from moe_lib.course.configuration import Configuration
from moe_lib.data.domain_text import Span
from moe_lib.experts import Experts
from moe_lib.layer import MoE
from moe_lib.models.byte_tables import NO_BYTE
from moe_lib.models.ffn import DenseFFN
from moe_lib.models.lstm_lm import LSTMLanguageModel
from moe_lib.models.window_mlp import WindowMLP
from moe_lib.routers import NoisyTopKRouter, TopKRouter

SPANS = {"window": Span(12), "lstm": Span(1, 64)}


@dataclass(frozen=True)
class Setup(Configuration):
    """All that a run depends on, but for its seed and the text.

    Args:
        model: "window" or "lstm".
        num_experts: E; 1 is the dense model, ``d_ff`` wide.
        top_k: k. An expert is ``d_ff / k`` wide: the k experts of a token do the
            arithmetic of a dense layer of width ``d_ff``, whatever E is.
        d_model, d_ff: widths.
        w_importance, w_load: coefficients of the two losses.
        steps, tokens: of the run, and of each step.
        lr: of AdamW, reached after 50 steps; then down in a line.
        noise: without it (False) the gate starts at random, since zeros would send
            all tokens to the first k experts.
        train_bytes: of each domain, to learn from; None for all there are.

    Raises:
        ValueError: an unknown model, more choices than experts, a width that k does
            not divide.
    """

    model: str = "window"
    num_experts: int = 16
    top_k: int = 4
    d_model: int = 64
    d_ff: int = 256
    w_importance: float = 0.1
    w_load: float = 0.1
    steps: int = 400
    tokens: int = 1024
    lr: float = 0.02
    noise: bool = True
    train_bytes: int | None = None

    def __post_init__(self) -> None:
        require_choice("model", self.model, SPANS)
        if require_count("num_experts", self.num_experts) == 1:
            return
        require_top_k(self.top_k, "num_experts", self.num_experts)
        if self.d_ff % self.top_k:
            raise ValueError(
                f"d_ff={self.d_ff} with top_k={self.top_k}: give a width that the k"
                " experts of a token can share out evenly"
            )

    @property
    def span(self) -> Span:
        """What the model sees and predicts of a window of bytes."""
        return SPANS[self.model]

    @property
    def name(self) -> str:
        """ "dense" or "16 experts", for progress bars."""
        return "dense" if self.num_experts == 1 else f"{self.num_experts} experts"

    @property
    def feed_forward(self) -> FeedForward:
        """The sizes of the FFN layer, for the accounting."""
        if self.num_experts == 1:
            return FeedForward(self.d_model, self.d_ff)
        width, experts = self.d_ff // self.top_k, self.num_experts
        return FeedForward(self.d_model, width, num_experts=experts, top_k=self.top_k)

    def build(self, make_router: Callable[[], nn.Module] | None = None) -> nn.Module:
        """The model, drawn from torch's global generator."""
        size, experts, k = self.feed_forward, self.num_experts, self.top_k
        kind = NoisyTopKRouter if self.noise else TopKRouter
        make_router = make_router or (lambda: kind(self.d_model, experts, top_k=k))

        def make_ffn(layer: int) -> nn.Module:
            if experts == 1:
                return DenseFFN(self.d_model, self.d_ff)
            return MoE(make_router(), Experts(experts, self.d_model, size.d_ff))

        if self.model == "lstm":
            return LSTMLanguageModel(NO_BYTE + 1, self.d_model, make_ffn, dropout=0.0)
        return WindowMLP(self.d_model, make_ffn, num_layers=1)
