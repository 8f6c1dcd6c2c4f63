"""A phrase of the reader's through a trained model, byte by byte."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moe_lib.checks import require_count
from moe_lib.course.byte_names import characters
from moe_lib.course.placed import routing_of
from moe_lib.data.domain_text import DomainText

PHRASE = "More Parameters"  # the figure of the course's first pages
MOST = 64  # bytes that the models of chapter 4 see at once


@dataclass(frozen=True, eq=False)
class RoutedPhrase:
    """L bytes of a phrase and their first experts, after a text that stands before.

    before: what the text is called, or "". byte: ``[L]``. expert: ``[L]`` int64.
    probability: ``[L]``, what the router gives that expert.
    """

    before: str
    byte: Tensor
    expert: Tensor
    probability: Tensor

    @property
    def characters(self) -> list[str]:
        """A text for each byte, ``·`` inside a longer character."""
        return characters(self.byte.tolist())


def route_phrase(
    model: nn.Module,
    phrase: str = PHRASE,
    *,
    before: bytes = b"",
    name: str = "",
    mixture: int = 0,
) -> RoutedPhrase:
    """Route the phrase as in evaluation; the model reads ``before`` first.

    Args:
        model: a byte model of chapter 4, with experts.
        phrase: with ``before`` at most 64 bytes in UTF-8.
        name: of what stands before. mixture: as in `place`.

    Raises:
        ValueError: nothing to route, or too much; a dense model.
    """
    own = phrase.encode()
    if not own:
        raise ValueError("phrase is empty: give at least one letter")
    if len(before) + len(own) > MOST:
        raise ValueError(
            f"phrase has {len(own)} bytes after {len(before)}: give at most"
            f" {MOST - len(before)}"
        )
    device = next(model.parameters()).device
    inputs = torch.tensor([[*before, *own]], device=device)
    table = routing_of(model, inputs, mixture)
    probs = table.router_probs.detach()[-len(own) :]
    expert = table.dense().detach()[-len(own) :].argmax(dim=1)
    return RoutedPhrase(
        name, inputs[0, -len(own) :], expert, probs.gather(1, expert[:, None])[:, 0]
    )


def in_domains(
    model: nn.Module,
    text: DomainText,
    phrase: str = PHRASE,
    *,
    before: int = 40,
    mixture: int = 0,
) -> list[RoutedPhrase]:
    """The phrase alone, and after the first held-out bytes of each domain.

    Args:
        before: bytes of each domain.

    Raises:
        ValueError: as `route_phrase`.
    """
    require_count("before", before)
    return [route_phrase(model, phrase, mixture=mixture)] + [
        route_phrase(
            model, phrase, before=bytes(part[:before].tolist()),
            name=domain, mixture=mixture,
        )
        for domain, part in zip(text.domains, text.heldout, strict=True)
    ]  # fmt: skip


def moved(phrases: list[RoutedPhrase]) -> Tensor:
    """``[L]`` bool: bytes that do not have the same expert in all of the texts."""
    experts = torch.stack([one.expert for one in phrases])
    return (experts != experts[0]).any(dim=0)
