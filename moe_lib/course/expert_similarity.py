"""Do experts do the same? What all of them make of the same tokens, pair by pair."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from moe_lib.course.switch_setup import Setup
from moe_lib.data.domain_text import DomainText
from moe_lib.experts import Experts
from moe_lib.language_modelling import evaluate
from moe_lib.layer import MoE
from moe_lib.models.transformer import TransformerLM
from moe_lib.routers.router import Router
from moe_lib.routing import Routing
from moe_lib.running import evaluating


def only_mixture(model: nn.Module) -> MoE:
    """The one mixture of a model.

    Raises:
        ValueError: it has none, or several.
    """
    found = [part for part in model.modules() if isinstance(part, MoE)]
    if len(found) != 1:
        raise ValueError(
            f"the model has {len(found)} mixtures: give one with exactly one, such as"
            " a Setup with 2 layers builds"
        )
    return found[0]


def similarity(outputs: Tensor) -> Tensor:
    """How alike experts answer: cosines ``[E, E]``, 1 on the diagonal.

    Each expert's answers are centred over the tokens first, so that a constant that
    all of them add does not count. 1 for twice the same expert, whatever its scale;
    about 0 for experts that have nothing to do with one another; 0 for an expert
    that answers the same to every token.

    Args:
        outputs: ``[E, N, D]``, of E experts for the same N tokens.

    Raises:
        ValueError: another shape, or a single token.
    """
    if outputs.ndim != 3 or outputs.shape[1] < 2:
        raise ValueError(
            f"outputs {list(outputs.shape)}: give [experts, tokens, width] with at"
            " least 2 tokens"
        )
    rows = (outputs - outputs.mean(dim=1, keepdim=True)).flatten(1)  # [E, N * D]
    products = rows @ rows.t()
    length = products.diagonal().sqrt()
    smallest = torch.finfo(products.dtype).tiny
    return products / torch.outer(length, length).clamp(min=smallest)


def mean_of_pairs(table: Tensor) -> float:
    """The mean of ``[E, E]`` without its diagonal."""
    count = len(table)
    return ((table.sum() - table.trace()) / (count * (count - 1))).item()


def every_answer(experts: Experts, x: Tensor) -> Tensor:
    """What each expert makes of all tokens ``x`` ``[N, D]``: ``[E, N, D]``."""
    return torch.stack([experts.one(e, x) for e in range(experts.num_experts)])


def expert_similarity(
    model: TransformerLM, setup: Setup, text: DomainText, *, every: int = 4
) -> Tensor:
    """`similarity` ``[E, E]`` of a model's experts on what reaches their layer.

    Args:
        every: every so many-th window of the held-out text is read.
    """
    layer, inputs = only_mixture(model), []
    windows = text.heldout_windows(setup.span)[:, ::every].flatten(0, 1)
    handle = layer.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    try:
        with evaluating(model):
            model(setup.span.split(windows)[0])
            x = inputs[0].flatten(0, -2)
            return similarity(every_answer(layer.experts, x)).clone()
    finally:
        handle.remove()


def bits_of_second_best(model: TransformerLM, setup: Setup, text: DomainText) -> float:
    """Held-out bits per byte if each token goes to the router's second choice.

    The weight stays that of the first choice: only the expert is another one. Where
    experts are alike, nothing is lost. For a `SwitchRouter` with room for all.
    """

    def swap(router: Router, _: tuple, routing: Routing) -> Routing:
        second = routing.router_logits.topk(2).indices[:, 1]
        wanted = nn.functional.one_hot(second, router.num_experts).float()
        table = router.route(wanted)
        return replace(table, combine_weights=routing.combine_weights)

    handle = only_mixture(model).router.register_forward_hook(swap)
    try:
        return evaluate(model, text, setup.span).mean().item()
    finally:
        handle.remove()
