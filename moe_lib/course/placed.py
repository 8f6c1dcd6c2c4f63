"""Held-out bytes, each with its neighbours, its domain and its experts."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from moe_lib.checks import require_count
from moe_lib.course import byte_setup, switch_setup
from moe_lib.data.domain_text import DomainText
from moe_lib.models.byte_tables import NO_BYTE
from moe_lib.routing import Routing
from moe_lib.running import evaluating

CONTEXT = 12  # bytes
Setup = byte_setup.Setup | switch_setup.Setup


@dataclass(frozen=True, eq=False)
class Placed:
    """N held-out bytes and what a trained model's router does with them.

    context: ``[N, 12]`` int64, the last bytes, the current one at the end; `NO_BYTE`
        before the first of a sequence. following: ``[N]``, the byte to predict.
    domain: ``[N]``, a place in ``domains``. routing: of N tokens, without noise.
    """

    context: Tensor
    following: Tensor
    domain: Tensor
    domains: tuple[str, ...]
    routing: Routing

    @property
    def byte(self) -> Tensor:
        """``[N]``: the current bytes."""
        return self.context[:, -1]

    @property
    def weights(self) -> Tensor:
        """``[N, E]``: gate weights, 0 for experts that were not chosen."""
        return self.routing.dense().detach()

    @property
    def first(self) -> Tensor:
        """``[N]``: the expert of the largest weight."""
        return self.weights.argmax(dim=1)


def place(
    model: nn.Module,
    setup: Setup,
    text: DomainText,
    *,
    every: int = 1,
    mixture: int = 0,
) -> Placed:
    """Route the held-out bytes, or every so many-th of their windows.

    Args:
        mixture: which of the model's mixtures, from 0 at the input.

    Raises:
        ValueError: a dense model, or one with fewer mixtures.
    """
    span, step = setup.span, require_count("every", every)
    windows = text.heldout_windows(span)[:, ::step]  # [D, n, length]
    per_domain = windows.shape[1] * span.predicted
    inputs, targets = span.split(windows.flatten(0, 1))  # [B, L], [B, predicted]
    routing = routing_of(model, inputs, mixture)
    padded = F.pad(inputs, (CONTEXT - 1, 0), value=NO_BYTE)
    context = padded.unfold(1, CONTEXT, 1)[:, -span.predicted :]
    return Placed(
        context=context.flatten(0, 1),
        following=targets.flatten(),
        domain=_numbers(len(text.domains), per_domain, inputs),
        domains=text.domains,
        routing=routing,
    )


def routing_of(model: nn.Module, inputs: Tensor, mixture: int = 0) -> Routing:
    """What one mixture of a language model does with ``inputs`` ``[B, L]``, as in
    evaluation.

    Raises:
        ValueError: the model has no such mixture.
    """
    with evaluating(model):
        _, routings = model(inputs)
    if require_count("mixture", mixture, minimum=0) >= len(routings):
        raise ValueError(
            f"mixture={mixture} but the model has {len(routings)}: "
            + (f"give 0 to {len(routings) - 1}" if routings else "give it experts")
        )
    return routings[mixture]


def _numbers(count: int, each: int, like: Tensor) -> Tensor:
    return like.new_tensor(range(count)).repeat_interleave(each)
