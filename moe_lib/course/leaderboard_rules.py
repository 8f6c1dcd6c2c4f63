"""What an entry of exercise 04b.2 must keep to, and what it breaks, in one line."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from moe_lib.checks import require_count
from moe_lib.course.switch_setup import (
    LENGTH,
    VOCABULARY,
    Setup,
    as_much_arithmetic,
)
from moe_lib.data.domain_text import DomainText
from moe_lib.language_modelling import evaluate
from moe_lib.routing import Routing
from moe_lib.running import evaluating

TEXTS = 8  # read in a check
#: Forward FLOPs for a byte: chapter 4's Switch, or the dense model that equals it.
BUDGET = as_much_arithmetic(Setup()).flops
#: An untrained model guesses at 8 bits per byte; a better guess was learnt before.
KNOWS_TOO_MUCH = 7.5
#: Held-out text may be that much easier than text learnt from: 0.1 is usual here.
BY_CHANCE = 0.4
TOLERANCE = 1e-3  # of logits: rounding differs between batches


def flops_per_byte(model: nn.Module, texts: int = TEXTS) -> float:
    """What one forward multiplies, as torch counts it, in the model's present mode.

    Products of matrices and convolutions, those of attention and LSTMs among them.
    """
    tokens = _texts(require_count("texts", texts))
    more = {
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
        torch.ops.aten._grouped_mm: _grouped,
        torch.ops.aten.mv: _matrix_vector,
        torch.ops.aten.mkldnn_rnn_layer: _lstm,
    }
    counter = FlopCounterMode(display=False, custom_mapping=more)
    with torch.no_grad(), counter:
        model(tokens)
    return counter.get_total_flops() / tokens.numel()


def fault_at_start(model: nn.Module, text: DomainText, texts: int) -> str:
    """Why a new model may not begin, as a clause; "" if it may.

    Args:
        texts: in a batch of its training.
    """
    model.train()
    if fault := answer_fault(model(_texts(2)), 2):
        return fault
    if fault := _arithmetic_fault(model, texts) or future_fault(model):
        return fault
    knows = evaluate(model, text, Setup().span).mean().item()
    if knows < KNOWS_TOO_MUCH:
        return (
            f"it knows the text before its first step, {knows:.2f} bits per byte: start"
            " from weights drawn by lot"
        )
    return ""


def fault_at_end(model: nn.Module, text: DomainText, bits: float, texts: int) -> str:
    """Why a trained model's ``bits`` do not count, as a clause; "" if they do."""
    if fault := _arithmetic_fault(model, texts) or future_fault(model):
        return fault
    learnt = DomainText(text.train, text.train, text.domains, text.sha256)
    known = evaluate(model, learnt, Setup().span).mean().item()
    if bits < known - BY_CHANCE:
        return (
            f"held-out text costs it {bits:.2f} bits per byte, text to learn from"
            f" {known:.2f}: it has seen what is held out"
        )
    return ""


def answer_fault(answer: Any, texts: int) -> str:
    """What is wrong with what the model returned; "" if nothing is."""
    if not (isinstance(answer, tuple) and len(answer) == 2):
        return f"it returns a {type(answer).__name__}: give (logits, routings)"
    logits, routings = answer
    shape = [texts, LENGTH, VOCABULARY]
    if not isinstance(logits, Tensor) or list(logits.shape) != shape:
        has = list(getattr(logits, "shape", [])) or type(logits).__name__
        return f"its logits are {has}: give {shape} for {texts} texts"
    if not torch.isfinite(logits).all():
        return "a logit is NaN or infinite"
    if not all(isinstance(routing, Routing) for routing in routings):
        return "its routings are no list of Routing: give [] if there are none"
    return ""


def future_fault(model: nn.Module) -> str:
    """Whether an answer in eval mode uses what a writer would not have yet."""
    tokens = _texts(TEXTS)
    with evaluating(model):
        logits, _ = model(tokens)
        for place in (1, 5, LENGTH // 2, LENGTH - 1):
            changed = tokens.clone()
            changed[:, place:] = (changed[:, place:] + 101) % VOCABULARY
            if _differ(model(changed)[0][:, :place], logits[:, :place]):
                return f"it looks at the future: byte {place} changes what is before it"
        if _differ(model(tokens[:1])[0], logits[:1]):
            return "in eval mode a text's answer depends on the other texts"
        if _differ(model(tokens)[0], logits):
            return "it remembers what it reads: the same text twice, two answers"
    return ""


def _arithmetic_fault(model: nn.Module, texts: int) -> str:
    before = model.training
    try:
        for mode in (True, False):
            flops = flops_per_byte(model.train(mode), texts)
            if flops > BUDGET:
                when = "in training" if mode else "in eval mode"
                return f"{flops:,.0f} FLOPs a byte {when}: {BUDGET:,} are allowed"
    finally:
        model.train(before)
    return ""


def _differ(a: Tensor, b: Tensor) -> bool:
    return not torch.allclose(a, b, atol=TOLERANCE, rtol=TOLERANCE)


def _texts(count: int) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randint(VOCABULARY, (count, LENGTH), generator=draw)


# What torch's counter leaves out on a CPU, from the shapes of the arguments.


def _attention(q: list, k: list, v: list, *_: Any, **__: Any) -> int:
    """All pairs of positions, masked or not, as the accounting has them."""
    return 2 * math.prod(q[:-1]) * k[-2] * (q[-1] + v[-1])


def _grouped(x: list, weights: list, *_: Any, **__: Any) -> int:
    """Rows ``[N, D]`` by one of ``[E, D, F]`` each."""
    return 2 * math.prod(x) * weights[-1]


def _matrix_vector(matrix: list, *_: Any, **__: Any) -> int:
    return 2 * math.prod(matrix)


def _lstm(x: list, from_x: list, from_state: list, *_: Any, **__: Any) -> int:
    """``x`` ``[length, texts, width]``, the weights of all four gates."""
    return 2 * math.prod(x[:-1]) * (math.prod(from_x) + math.prod(from_state))
