"""Banks of experts: many small networks, one forward."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lib.activations import ACTIVATIONS
from moe_lib.checks import require_choice, require_count, require_share
from moe_lib.feed_forward import Grouped, Segments
from moe_lib.feed_forward_padded import Padded
from moe_lib.initialisation import truncated_normal_


class Experts(nn.Module):
    """E feed-forward networks as stacked weights, without bias.

    ``relu`` and ``gelu``: ``o = act(x w_in) w_out``; ``swiglu``: ``o = (silu(x w_gate)
    * (x w_in)) w_out``. GELU is the exact one, with erf.

    Args:
        num_experts, d_model, d_ff: E, D and F.
        activation: "relu", "gelu" or "swiglu".
        expert_dropout: in training, the share of hidden units set to zero inside the
            experts (Fedus et al., 2021, section 2.4: 0.4 in the experts while 0.1
            elsewhere, for fine-tuning).
        init_scale: s of the truncated normal with deviation sqrt(s / fan_in) that the
            weights are drawn from (the same section: 0.1 rather than 1).

    Attributes:
        w_in, w_gate (swiglu only): ``[E, D, F]``. w_out: ``[E, F, D]``.

    Raises:
        ValueError: an unknown activation, a width that is not a positive whole number,
            a dropout outside 0..1, a scale that is not positive.
    """

    def __init__(
        self,
        num_experts: int,
        d_model: int,
        d_ff: int,
        activation: str = "relu",
        *,
        expert_dropout: float = 0.0,
        init_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.num_experts = require_count("num_experts", num_experts)
        self.d_model = require_count("d_model", d_model)
        self.d_ff = require_count("d_ff", d_ff)
        self.activation = require_choice("activation", activation, ACTIVATIONS)
        self.expert_dropout = require_share("expert_dropout", expert_dropout)
        self.w_in = nn.Parameter(torch.empty(num_experts, d_model, d_ff))
        self.w_out = nn.Parameter(torch.empty(num_experts, d_ff, d_model))
        gate = torch.empty(num_experts, d_model, d_ff)
        self.w_gate = nn.Parameter(gate) if activation == "swiglu" else None
        self.reset_parameters(init_scale)

    def reset_parameters(self, init_scale: float = 1.0) -> None:
        """Draw all weights afresh; ``init_scale`` as in the constructor."""
        for weight in self.parameters():
            truncated_normal_(weight, fan_in=weight.shape[1], scale=init_scale)

    def extra_repr(self) -> str:
        return (
            f"{self.num_experts} experts, {self.d_model} -> {self.d_ff} ->"
            f" {self.d_model}, {self.activation}"
        )

    def forward(
        self, x: Tensor, tokens_per_expert: Tensor, how: str = "segments"
    ) -> Tensor:
        """Rows ``[N, D]`` sorted by expert -> ``[N, D]``.

        Args:
            tokens_per_expert: ``[E]`` int64, how many rows each expert has. Rows past
                their sum are not computed: their output is 0.
            how: "segments", "padded" or "grouped", see `moe_lib.feed_forward`.
        """
        x, weights = self._cast(x)
        mask = None
        if self.training and self.expert_dropout:
            ones = x.new_ones(x.shape[0], self.d_ff)
            mask = F.dropout(ones, self.expert_dropout)
        arguments = (x, *weights, mask, tokens_per_expert, self.activation)
        if how == "segments":
            return Segments.apply(*arguments, torch.is_grad_enabled())
        return {"padded": Padded, "grouped": Grouped}[how].apply(*arguments)

    def batched(self, x: Tensor, expert_index: Tensor | None = None) -> Tensor:
        """Buffers of equal length ``[n, C, D]`` -> ``[n, C, D]``, in plain torch.

        Args:
            expert_index: ``[n]`` int64, the expert of each buffer; None if buffer i
                belongs to expert i.
        """
        x, (w_in, w_out, w_gate) = self._cast(x)
        if expert_index is not None:
            w_in, w_out, w_gate = (
                None if w is None else w.index_select(0, expert_index)
                for w in (w_in, w_out, w_gate)
            )
        gate = None if w_gate is None else torch.bmm(x, w_gate)
        hidden = self._activate(torch.bmm(x, w_in), gate)
        return torch.bmm(hidden, w_out)

    def one(self, expert: int, x: Tensor) -> Tensor:
        """What expert number ``expert`` makes of ``x`` ``[n, D]``, in plain torch."""
        x, weights = self._cast(x)
        # Under autograd w[e] costs a zero tensor of all experts' size, unbind not.
        w_in, w_out, w_gate = (
            None if w is None else w.unbind(0)[expert] for w in weights
        )
        gate = None if w_gate is None else x @ w_gate
        return self._activate(x @ w_in, gate) @ w_out

    def _activate(self, hidden: Tensor, gate: Tensor | None) -> Tensor:
        if self.activation == "swiglu":
            hidden = F.silu(gate) * hidden
        else:
            hidden = F.relu(hidden) if self.activation == "relu" else F.gelu(hidden)
        return F.dropout(hidden, self.expert_dropout, self.training)

    def compute_dtype(self, x: Tensor) -> torch.dtype:
        """The dtype of the products: that of ``x``, or autocast's."""
        kind = x.device.type
        if x.is_meta or x.dtype == torch.float64 or not torch.is_autocast_enabled(kind):
            return x.dtype
        return torch.get_autocast_dtype(kind)

    def _cast(self, x: Tensor) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        dtype = self.compute_dtype(x)
        weights = (self.w_in, self.w_out, self.w_gate)
        return x.to(dtype), tuple(None if w is None else w.to(dtype) for w in weights)


class LinearExperts(nn.Module):
    """E experts with one layer each: ``o_i = activation(W_i x + b_i)``.

    The experts of Jacobs et al. (1991) are these, with a sigmoid: each one alone can
    only draw straight lines between classes.

    Args:
        num_experts, d_in, d_out: E and the widths of input and output.
        sigmoid: squash the outputs into 0..1 (as the paper does); False leaves the
            experts linear, for regression.

    The call maps ``x`` ``[T, d_in]`` to all experts' outputs ``[T, E, d_out]``.
    """

    def __init__(
        self, num_experts: int, d_in: int, d_out: int, *, sigmoid: bool = True
    ) -> None:
        super().__init__()
        require_count("num_experts", num_experts)
        require_count("d_in", d_in)
        require_count("d_out", d_out)
        self.num_experts, self.d_out, self.sigmoid = num_experts, d_out, sigmoid
        bound = d_in**-0.5  # as torch.nn.Linear draws its own
        self.weight = nn.Parameter(torch.empty(d_in, num_experts * d_out))
        self.bias = nn.Parameter(torch.empty(num_experts * d_out))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.addmm(self.bias, x, self.weight)  # [T, E * d_out]: one product
        y = y.view(x.shape[0], self.num_experts, self.d_out)
        return y.sigmoid() if self.sigmoid else y


class ModuleExperts(nn.Module):
    """Any modules as experts: each maps ``[T, d_in]`` to ``[T, d_out]``.

    The call returns all outputs, ``[T, E, d_out]``.
    """

    def __init__(self, experts: Sequence[nn.Module]) -> None:
        super().__init__()
        require_count("num_experts", len(experts))
        self.experts = nn.ModuleList(experts)
        self.num_experts = len(experts)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([expert(x) for expert in self.experts], dim=1)
