"""The mistakes that exercise 04b.1 recognises: where bits are lost too early."""

from __future__ import annotations

from torch import Tensor

Answer = tuple[Tensor, Tensor]


def _float32_logits(x: Tensor, weight: Tensor) -> Tensor:
    return x.float() @ weight.float().T


def _best(probs: Tensor, dtype: object) -> Answer:
    best, expert = probs.max(dim=1)
    return expert, best.to(dtype)


def bfloat16_product(x: Tensor, weight: Tensor) -> Answer:
    return _best((x @ weight.T).float().softmax(dim=1), x.dtype)


def bfloat16_softmax(x: Tensor, weight: Tensor) -> Answer:
    return _best((x @ weight.T).softmax(dim=1), x.dtype)


def argmax_after_the_cast(x: Tensor, weight: Tensor) -> Answer:
    return _best(_float32_logits(x, weight).softmax(dim=1).to(x.dtype), x.dtype)


def float32_weight(x: Tensor, weight: Tensor) -> Answer:
    probs = _float32_logits(x, weight).softmax(dim=1)
    return _best(probs, probs.dtype)


def logit_as_weight(x: Tensor, weight: Tensor) -> Answer:
    return _best(_float32_logits(x, weight), x.dtype)


def renormalised(x: Tensor, weight: Tensor) -> Answer:
    expert, best = _best(_float32_logits(x, weight).softmax(dim=1), x.dtype)
    return expert, best / best


def softmax_over_tokens(x: Tensor, weight: Tensor) -> Answer:
    return _best(_float32_logits(x, weight).softmax(dim=0), x.dtype)
