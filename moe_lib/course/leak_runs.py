"""Judge a language model as it will be used: it never sees what comes next."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from moe_lib.checks import require_count
from moe_lib.course.switch_runs import SwitchRun
from moe_lib.course.switch_setup import LENGTH
from moe_lib.data.domain_text import DomainText, Span
from moe_lib.language_modelling import negative_log_likelihood
from moe_lib.routers import (
    ExpertChoiceRouter,
    PredictedChoice,
    SamePositionChoice,
)
from moe_lib.routers.predicted_choice import taken_by
from moe_lib.routing import Routing
from moe_lib.running import evaluating


def step_by_step_bits(
    model: nn.Module, text: DomainText, *, texts: int = 512, side_by_side: int = 32
) -> Tensor:
    """Bits per byte when each byte is told from a text that ends before it, 0-d.

    For every position t a forward pass over the first t bytes alone; only its last
    answer counts. A causal model gives what `evaluate` gives; one whose router looks
    at the whole batch does not.

    Args:
        model: maps bytes ``[N, t]`` to logits ``[N, t, 256]`` and routings.
        texts: held-out windows of 64 bytes, spread over all domains; 512 are all.
        side_by_side: texts that are told together, so a router may choose among them.

    Raises:
        ValueError: fewer held-out windows than ``texts``.
    """
    nats = torch.zeros((), dtype=torch.float64, device=text.train.device)
    with evaluating(model):
        for inputs, targets in _batches(text, texts, side_by_side):
            for t in range(LENGTH):
                logits, _ = model(inputs[:, : t + 1])
                found = negative_log_likelihood(logits[:, -1:], targets[:, t : t + 1])
                nats += found.double().sum()
    return nats / (texts * LENGTH * math.log(2))


def teacher_forced_bits(
    model: nn.Module, text: DomainText, *, texts: int = 512, side_by_side: int = 32
) -> Tensor:
    """Bits per byte of the texts of `step_by_step_bits`, each read as a whole, 0-d."""
    nats = torch.zeros((), dtype=torch.float64, device=text.train.device)
    with evaluating(model):
        for inputs, targets in _batches(text, texts, side_by_side):
            logits, _ = model(inputs)
            nats += negative_log_likelihood(logits, targets).double().sum()
    return nats / (texts * LENGTH * math.log(2))


def _batches(
    text: DomainText, texts: int, side_by_side: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and targets ``[side_by_side, 64]`` of the first texts that `evaluate`
    reads."""
    span = Span(1, LENGTH)
    windows = text.heldout_windows(span).flatten(0, 1)  # [D * 128, 65]
    if require_count("texts", texts) > len(windows):
        raise ValueError(f"texts={texts}: there are {len(windows)}, ask for fewer")
    draw = torch.Generator().manual_seed(0)  # the order of `evaluate`
    order = torch.randperm(len(windows), generator=draw)[:texts].to(windows.device)
    for rows in order.split(require_count("side_by_side", side_by_side)):
        yield span.split(windows[rows])


class OfThisLength(nn.Module):
    """A model whose routers are told how long the texts of a call are.

    For those that choose text by text, or position by position: a text that is being
    written is a token longer at each call.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> tuple[Tensor, list[Routing]]:
        """Tokens ``[N, t]`` to logits ``[N, t, 256]`` and routings."""
        length = tokens.shape[1]
        for router in self.model.modules():
            if isinstance(router, SamePositionChoice):
                router.length = length
            elif isinstance(router, ExpertChoiceRouter) and router.slots.group_size:
                router.slots = replace(router.slots, group_size=length)
        return self.model(tokens)


def leak_columns(
    runs: Mapping[str, SwitchRun], text: DomainText, config: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Of one seed: "arm: what", each 0-d.

    What is "bits" of all held-out text; "read" and "written", teacher-forced and step
    by step with 32 texts side by side; "read alone" and "written alone", a text at a
    time, fewer of them; "load cv", "unserved", and "seconds" of the training. Of a
    predictor also what `predictor_accuracy` finds. "experts" and "experts alone" are
    those that serve a token on average, when texts are read.
    """
    columns = {}
    for name, run in runs.items():
        model = OfThisLength(run.model)
        many = {"texts": config["texts"]}
        alone = {"texts": config["texts alone"], "side_by_side": 1}
        found = {
            "bits": run.bits[-1],
            "seconds": run.seconds[-1],
            **{what: values[-1] for what, values in run.more.items()},
            "read": teacher_forced_bits(model, text, **many),
            "written": step_by_step_bits(model, text, **many),
            "read alone": teacher_forced_bits(model, text, **alone),
            "written alone": step_by_step_bits(model, text, **alone),
            "experts": experts_of_a_token(model, text, **many),
            "experts alone": experts_of_a_token(model, text, **alone),
        }
        if run.setup.router == "predictor":
            found |= predictor_accuracy(run.model, text)
        columns |= {f"{name}: {what}": value for what, value in found.items()}
    return columns


def experts_of_a_token(
    model: nn.Module, text: DomainText, *, texts: int = 512, side_by_side: int = 32
) -> Tensor:
    """How many serve it on average where texts are read as a whole, 0-d."""
    served = torch.zeros((), dtype=torch.float64, device=text.train.device)
    with evaluating(model):
        for inputs, _ in _batches(text, texts, side_by_side):
            (routing,) = model(inputs)[1]
            served += routing.kept.sum()
    return served / (texts * LENGTH)


def predictor_accuracy(model: nn.Module, text: DomainText) -> dict[str, Tensor]:
    """On 32 held-out texts: how often the predictor of `PredictedChoice` is right.

    "accuracy": of pairs of token and expert. "always no": of a predictor that lets
    nobody take anything. "found": of the pairs that expert choice takes, those that
    were predicted.
    """
    inputs, _ = next(_batches(text, 32, 32))
    with evaluating(model), torch.no_grad():
        for router in model.modules():
            if isinstance(router, PredictedChoice):
                router.train()  # expert choice, with its predictions beside it
        (routing,) = model(inputs)[1]
    taken, yes = taken_by(routing), routing.predicted > 0
    return {
        "accuracy": (taken == yes).double().mean(),
        "always no": 1 - taken.double().mean(),
        "found": yes[taken].double().mean(),
    }
