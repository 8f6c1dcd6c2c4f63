"""The mistakes that exercise 05b.1 recognises: other questions than the leak's."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Answer = Callable[[Tensor], Tensor]


def _moved(
    answer: Answer, tokens: Tensor, changed: list[Tensor], row: int = 0
) -> Tensor:
    """``[T]``: whether answer t, or ``row`` rows on, moves under ``changed[t]``."""
    before, last = answer(tokens), len(tokens) - 1
    rows = [min(t + row, last) for t in range(len(tokens))]
    after = [answer(each)[t] for each, t in zip(changed, rows, strict=True)]
    return (torch.stack(after) != before[rows]).flatten(1).any(dim=1)


def _from(tokens: Tensor, other: Tensor, first: int) -> list[Tensor]:
    """For each t: the tokens from t + ``first`` on are other ones."""
    starts = range(first, first + len(tokens))
    return [torch.cat([tokens[:s], other[s:]]) for s in starts]


def itself_too(answer: Answer, tokens: Tensor, other: Tensor) -> Tensor:
    return _moved(answer, tokens, _from(tokens, other, 0))


def one_too_late(answer: Answer, tokens: Tensor, other: Tensor) -> Tensor:
    return _moved(answer, tokens, _from(tokens, other, 2))


def the_past(answer: Answer, tokens: Tensor, other: Tensor) -> Tensor:
    changed = [torch.cat([other[:t], tokens[t:]]) for t in range(len(tokens))]
    return _moved(answer, tokens, changed)


def the_next_only(answer: Answer, tokens: Tensor, other: Tensor) -> Tensor:
    count = range(1, len(tokens) + 1)
    changed = [
        torch.cat([tokens[:s], other[s : s + 1], tokens[s + 1 :]]) for s in count
    ]
    return _moved(answer, tokens, changed)


def the_last_only(answer: Answer, tokens: Tensor, other: Tensor) -> Tensor:
    changed = torch.cat([tokens[:-1], other[-1:]])
    moved = _moved(answer, tokens, [changed] * len(tokens))
    return torch.cat([moved[:-1], moved.new_zeros(1)])


def in_place(answer: Answer, tokens: Tensor, other: Tensor) -> Tensor:
    tokens, moved = tokens.clone(), []
    for t in range(len(tokens)):
        before = answer(tokens)[t].clone()
        tokens[t + 1 :] = other[t + 1 :]
        moved.append((answer(tokens)[t] != before).any())
    return torch.stack(moved)


def the_next_answer(answer: Answer, tokens: Tensor, other: Tensor) -> Tensor:
    return _moved(answer, tokens, _from(tokens, other, 1), row=1)


def who_stays(answer: Answer, tokens: Tensor, other: Tensor) -> Tensor:
    return ~_moved(answer, tokens, _from(tokens, other, 1))
