"""The leak, exactly: change what stands later, and see what moves before it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn

from moe_lib.checks import require_count
from moe_lib.running import evaluating

ROUNDING = 1e-9  # of float64, with much to spare
Answer = Callable[[Tensor], Tensor]


def moved_by(answer: Answer, first: Tensor, second: Tensor) -> Tensor:
    """How far each token's answer moves, the largest change of a number, ``[T]``.

    Args:
        answer: maps T tokens, the first dimension, to T rows of numbers.
        first, second: the same shape.

    Raises:
        ValueError: two shapes.
    """
    if first.shape != second.shape:
        raise ValueError(
            f"the texts are {list(first.shape)} and {list(second.shape)}: give two of"
            " one shape"
        )
    with torch.no_grad():
        change = answer(first) - answer(second)
    return change.flatten(1).abs().amax(dim=1)


def router_leak(
    router: nn.Module, x: Tensor, other: Tensor, start: int, ids: Tensor | None = None
) -> Tensor:
    """How far the weights of each token before ``start`` move when the tokens from
    there on are replaced, ``[start]``; all 0 if the router does not look ahead.

    The router is asked in evaluation mode.

    Args:
        router: any of `moe_lib.routers`.
        x, other: ``[T, d_model]``; rows of ``other`` are the replacement.
        start: the first token that is replaced, 1 to T - 1.
        ids: ``[T]`` int64, for `HashRouter`; they stay.
    """
    changed = replaced(x, other, start)

    def weights(tokens: Tensor) -> Tensor:
        return router(tokens, token_ids=ids).dense()  # [T, E]

    with evaluating(router):
        return moved_by(weights, x, changed)[:start]


def model_leak(model: nn.Module, text: Tensor, other: Tensor, start: int) -> Tensor:
    """As `router_leak`, for the log-probabilities of a language model.

    A copy in float64 is asked, and what moves by less than 1e-9 counts as 0: with
    other loads an expert sums in another order.

    Args:
        model: maps bytes ``[1, T]`` to logits ``[1, T, 256]`` and routings.
        text, other: ``[T]`` int64, bytes.
    """
    changed = replaced(text, other, start)
    copy = deepcopy(model).double()
    with evaluating(copy):
        moved = moved_by(
            lambda tokens: copy(tokens[None])[0][0].log_softmax(dim=-1), text, changed
        )
    return moved[:start].where(moved[:start] > ROUNDING, 0.0)


def replaced(x: Tensor, other: Tensor, start: int) -> Tensor:
    """``x`` with the tokens from ``start`` on taken from ``other``.

    Raises:
        ValueError: no token before ``start``, or none from it on; two shapes.
    """
    if require_count("start", start) >= len(x) or x.shape != other.shape:
        raise ValueError(
            f"start={start} for {list(x.shape)} and {list(other.shape)}: give one"
            " shape, and a start below its first number"
        )
    return torch.cat([x[:start], other[start:]])
