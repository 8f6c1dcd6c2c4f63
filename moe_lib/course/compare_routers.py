"""The same text through trained models with different routers, byte by byte."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from moe_lib.course.race_runs import heldout_batch
from moe_lib.course.switch_runs import SwitchRun
from moe_lib.course.switch_setup import LENGTH
from moe_lib.data.domain_text import DomainText
from moe_lib.language_modelling import negative_log_likelihood
from moe_lib.masked_modelling import PASSES
from moe_lib.models.byte_tables import NO_BYTE
from moe_lib.routers.slots import SlotRule
from moe_lib.routing import Routing
from moe_lib.running import evaluating

PLACE = 24  # in the batch: so many other texts come first


@dataclass(frozen=True, eq=False)
class Reading:
    """How one model read a text of N bytes.

    num_experts: E, 0 of a dense model.
    experts: of each byte those that served it, with their weights, largest first.
    refused: of each byte the experts that it asked for and that had no room.
    bits: ``[N]``, what telling each byte took; NaN of a decoder's first.
    """

    num_experts: int
    experts: list[list[tuple[int, float]]]
    refused: list[list[int]]
    bits: Tensor

    @property
    def load(self) -> list[float]:
        """``E`` numbers of bytes that each expert served.

        Where every expert serves every byte, a byte counts as the weight instead.
        """
        count = [0.0] * self.num_experts
        for served in self.experts:
            for expert, weight in served:
                count[expert] += weight if self.everybody else 1
        return count

    @property
    def everybody(self) -> bool:
        """Whether every expert serves every byte, as in the gate of 1991."""
        many = self.num_experts > 1
        return many and all(len(e) == self.num_experts for e in self.experts)

    @property
    def unserved(self) -> list[int]:
        """The bytes that no expert serves; none in a dense model."""
        if not self.num_experts:
            return []
        return [n for n, served in enumerate(self.experts) if not served]


def read_with(
    runs: Mapping[str, SwitchRun], sentence: str, text: DomainText
) -> dict[str, Reading]:
    """What each model makes of the first 64 bytes of ``sentence``, by name.

    As in training it is one of 32 texts, and experts have room as in training: others
    may have taken it. Nothing is left to chance, so GShard asks for every second
    expert. A model of hidden bytes tells every seventh byte at a time, and is routed
    with nothing hidden.

    Raises:
        ValueError: a sentence of fewer than 2 bytes.
    """
    values = list(sentence.encode()[:LENGTH])
    if len(values) < 2:
        raise ValueError(f"sentence={sentence!r}: give one of 2 bytes or more")
    where = text.train.device
    batch = heldout_batch(text, masked=False).clone()
    batch[PLACE] = NO_BYTE
    batch[PLACE, : len(values)] = torch.tensor(values, device=where)
    return {name: _read(run, batch) for name, run in runs.items()}


def _read(run: SwitchRun, batch: Tensor) -> Reading:
    """Of the text at `PLACE` of ``batch`` ``[32, 64]``, in which `NO_BYTE` pads."""
    mask = batch != NO_BYTE
    length = int(mask[PLACE].sum())
    with evaluating(run.model), room_of_training(run.model):
        logits, routings = run.model(batch, mask)
        bits = torch.full((length,), math.nan)
        if run.setup.masked:
            place = torch.arange(LENGTH, device=batch.device)
            for first in range(PASSES):
                hidden = place % PASSES == first
                logits, _ = run.model(batch.masked_fill(hidden, NO_BYTE), mask)
                told = negative_log_likelihood(logits, batch.masked_fill(~mask, 0))
                bits[first::PASSES] = told[PLACE, :length][first::PASSES].float().cpu()
        else:
            told = negative_log_likelihood(
                logits[PLACE, : length - 1], batch[PLACE, 1:length]
            )
            bits[1:] = told.float().cpu()
    experts = [[] for _ in range(length)]
    refused = [[] for _ in range(length)]
    if routings:
        _rows(routings[0], experts, refused)
    count = routings[0].num_experts if routings else 0
    return Reading(count, experts, refused, bits / math.log(2))


def _rows(
    routing: Routing,
    experts: list[list[tuple[int, float]]],
    refused: list[list[int]],
) -> None:
    """Put the rows of the text at `PLACE` where they belong."""
    columns = (routing.token_index - PLACE * LENGTH, routing.expert_index,
               routing.combine_weights, routing.kept)  # fmt: skip
    mine = (columns[0] >= 0) & (columns[0] < len(experts))
    for byte, expert, weight, kept in zip(
        *(column[mine].tolist() for column in columns), strict=True
    ):
        if kept:
            experts[byte].append((expert, weight))
        else:
            refused[byte].append(expert)
    for served in experts:
        served.sort(key=lambda one: -one[1])


@contextmanager
def room_of_training(model: nn.Module) -> Iterator[None]:
    """Inside, experts have as much room in evaluation as in training."""
    routers = [
        module
        for module in model.modules()
        if isinstance(getattr(module, "slots", None), SlotRule)
    ]
    before = [router.slots for router in routers]
    try:
        for router, slots in zip(routers, before, strict=True):
            router.slots = replace(slots, eval_capacity_factor=None)
        yield
    finally:
        for router, slots in zip(routers, before, strict=True):
            router.slots = slots
