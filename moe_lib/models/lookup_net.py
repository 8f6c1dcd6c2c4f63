"""A memory for facts: features and a language in, one of many answers out."""

from __future__ import annotations

from torch import Tensor, nn

from moe_lib.models.ffn import MakeFFN
from moe_lib.models.residual_ffn import ResidualFFN
from moe_lib.routing import Routing


class LookupNet(nn.Module):
    """Frozen features plus a learned vector per language, residual FFNs, a softmax.

    Args:
        d_model: width of the features.
        num_languages, num_answers: of `moe_lib.data.lookup.Lookup`.
        make_ffn: builds the FFN of layer 0, 1, ...: a `DenseFFN` or a `MoE`.
        num_layers: how many of them.
    """

    def __init__(
        self,
        d_model: int,
        num_languages: int,
        num_answers: int,
        make_ffn: MakeFFN,
        *,
        num_layers: int = 2,
    ) -> None:
        super().__init__()
        self.languages = nn.Embedding(num_languages, d_model)
        nn.init.normal_(self.languages.weight, std=d_model**-0.5)  # as long as a name
        self.body = ResidualFFN(d_model, num_layers, make_ffn)
        self.head = nn.Linear(d_model, num_answers)

    def forward(
        self, features: Tensor, language: Tensor
    ) -> tuple[Tensor, list[Routing]]:
        """``[N, d_model]``, ``[N]`` -> logits ``[N, num_answers]``, routings."""
        x = features + self.languages(language)
        h, routings = self.body(x, language)
        return self.head(h), routings
