"""A tree of gates with linear experts at its leaves, learnt by EM.

Jordan and Jacobs (1994), "Hierarchical Mixtures of Experts and the EM Algorithm":
P(y|x) = sum_i g_i(x) sum_j g_{j|i}(x) N(y; U_ij x, s_ij I).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from moe_lib.checks import require_count, require_finite, require_matrix
from moe_lib.models.em_steps import newton_gate, weighted_least_squares, with_bias
from moe_lib.running import deferred_interrupt, progress


class HierarchicalMixture(nn.Module):
    """Two levels: ``branch = (I, J)`` means I groups of J experts.

    Parameters (the last column of each is the bias):
        top_gate ``[I, d_in + 1]``, low_gates ``[I, J, d_in + 1]``,
        experts ``[I, J, d_out, d_in + 1]``, log_variance ``[I, J]``.

    Args:
        d_in, d_out: widths of input and target. Give both about unit variance: the
            experts start as random lines of that size.
        branch: (I, J). One level of K experts is (1, K).
        seed: of the random start.
        smallest_variance: floor for every expert's variance. Without one, an expert
            that fits a single case exactly makes the likelihood infinite.
        dtype: float64 unless said otherwise; EM's guarantee is only as good as that.

    `log_likelihood` is differentiable, so that gradient descent can learn the same
    model by the same measure; `em_step` and `fit` are the paper's way.

    Raises:
        ValueError: a count below 1, a width that does not fit, NaN in the data.
    """

    def __init__(
        self,
        d_in: int,
        d_out: int,
        branch: tuple[int, int] = (2, 2),
        *,
        seed: int = 0,
        smallest_variance: float = 1e-4,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        self.d_in = require_count("d_in", d_in)
        self.d_out = require_count("d_out", d_out)
        if not isinstance(branch, tuple) or len(branch) != 2:
            raise ValueError(f"branch={branch!r}: give (groups, experts per group)")
        groups = require_count("branch[0]", branch[0])
        leaves = require_count("branch[1]", branch[1])
        if not smallest_variance > 0:
            raise ValueError(
                f"smallest_variance={smallest_variance}: give a number > 0"
            )
        self.smallest_variance = smallest_variance
        draw = torch.Generator().manual_seed(seed)

        def start(scale: float, *shape: int) -> nn.Parameter:
            noise = torch.randn(*shape, generator=draw, dtype=torch.float64)
            return nn.Parameter((scale * noise).to(dtype))

        self.top_gate = start(1.0, groups, d_in + 1)
        self.low_gates = start(1.0, groups, leaves, d_in + 1)
        self.experts = start(1.0, groups, leaves, d_out, d_in + 1)
        self.log_variance = nn.Parameter(torch.zeros(groups, leaves, dtype=dtype))

    def log_gates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``log g_i`` ``[T, I]`` and ``log g_{j|i}`` ``[T, I, J]``."""
        x = with_bias(require_matrix("x", x, self.d_in))
        top = (x @ self.top_gate.T).log_softmax(dim=1)
        low = torch.einsum("td,ijd->tij", x, self.low_gates).log_softmax(dim=2)
        return top, low

    def outputs(self, x: Tensor) -> Tensor:
        """Each expert's mean, ``[T, I, J, d_out]``."""
        x = with_bias(require_matrix("x", x, self.d_in))
        return torch.einsum("td,ijod->tijo", x, self.experts)

    def forward(self, x: Tensor) -> Tensor:
        """The mixture's mean ``sum_ij g_i g_{j|i} U_ij x``, ``[T, d_out]``."""
        top, low = self.log_gates(x)
        gates = (top.unsqueeze(2) + low).exp()  # [T, I, J]
        return torch.einsum("tij,tijo->to", gates, self.outputs(x))

    def log_joint(self, x: Tensor, y: Tensor) -> Tensor:
        """``log(g_i g_{j|i} P_ij(y|x))`` of every leaf, ``[T, I, J]``."""
        require_matrix("y", y, self.d_out)
        if len(x) != len(y):
            raise ValueError(f"x has {len(x)} rows and y {len(y)}: give one y per x")
        top, low = self.log_gates(x)
        distance = (y[:, None, None] - self.outputs(x)).square().sum(dim=3)
        spread = self.d_out * (self.log_variance + math.log(2 * math.pi))  # [I, J]
        log_density = -0.5 * (distance * (-self.log_variance).exp() + spread)
        return top.unsqueeze(2) + low + log_density

    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean over cases of ``log P(y|x)``, in nats, a 0-d tensor with a gradient."""
        return self.log_joint(x, y).flatten(1).logsumexp(dim=1).mean()

    @torch.no_grad()
    def responsibilities(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The E-step: ``h_i`` ``[T, I]``, ``h_{j|i}`` and ``h_ij`` ``[T, I, J]``."""
        joint = self.log_joint(x, y)
        top = joint.logsumexp(dim=2).softmax(dim=1)
        low = joint.softmax(dim=2)
        return top, low, top.unsqueeze(2) * low

    @torch.no_grad()
    def em_step(self, x: Tensor, y: Tensor, *, newton_steps: int = 2) -> float:
        """One E-step and one M-step; returns the new mean log-likelihood.

        It never falls: experts and variances go to the maximum of their part, gates
        at least uphill (a generalised EM).

        Raises:
            ValueError: ``x`` or ``y`` has the wrong width, or is not finite.
        """
        require_finite("x", require_matrix("x", x, self.d_in))
        require_finite("y", require_matrix("y", y, self.d_out))
        h_top, h_low, h = self.responsibilities(x, y)
        self._fit_experts(x, y, h)
        self._fit_gates(with_bias(x), h_top, h_low, newton_steps)
        return self.log_likelihood(x, y).item()

    def fit(
        self,
        x: Tensor,
        y: Tensor,
        iterations: int = 40,
        *,
        newton_steps: int = 2,
        label: str = "EM",
    ) -> list[float]:
        """EM; returns the mean log-likelihood before, and after each iteration.

        Ctrl-C (or the notebook's stop button) ends the fit early, keeps what was
        learnt, and returns the list so far.
        """
        require_count("iterations", iterations, minimum=0)
        history = [self.log_likelihood(x, y).item()]
        with deferred_interrupt() as asked, progress(iterations, label) as bar:
            for done in range(1, iterations + 1):
                history.append(self.em_step(x, y, newton_steps=newton_steps))
                bar.update()
                if asked.is_set():
                    print(
                        f"{label}: stopped by you after {done} of {iterations}"
                        " iterations. What was learnt is kept; fit(...) goes on from"
                        " here."
                    )
                    break
        return history

    def _fit_experts(self, x: Tensor, y: Tensor, h: Tensor) -> None:
        start = self.experts.flatten(0, 1)  # [I*J, O, D]
        lines = weighted_least_squares(with_bias(x), y, h.flatten(1), start)
        self.experts.copy_(lines.view_as(self.experts))
        distance = (y[:, None, None] - self.outputs(x)).square().sum(dim=3)
        share = h.sum(dim=0)  # [I, J]
        variance = (h * distance).sum(dim=0) / (self.d_out * share.clamp_min(1e-300))
        floored = variance.clamp_min(self.smallest_variance).log()
        # an expert that nobody asks for keeps its spread
        self.log_variance.copy_(torch.where(share > 0, floored, self.log_variance))

    def _fit_gates(self, x: Tensor, h_top: Tensor, h_low: Tensor, steps: int) -> None:
        everyone = torch.ones_like(h_top[:, 0])
        self.top_gate.copy_(newton_gate(x, h_top, everyone, self.top_gate, steps=steps))
        for i, gate in enumerate(self.low_gates):
            new = newton_gate(x, h_low[:, i], h_top[:, i], gate, steps=steps)
            self.low_gates[i].copy_(new)
