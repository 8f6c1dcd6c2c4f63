"""What an expert's name tells about a byte, in bits, and how much of it is chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from moe_lib.course.byte_names import CLASS_OF
from moe_lib.course.placed import Placed
from moe_lib.data.domain_text import STRETCH
from moe_lib.models.byte_tables import NO_BYTE
from moe_lib.specialisation import mutual_information

BIT = math.log(2)  # in nats
GIVEN = ("domain, byte known", "byte, domain known")


@dataclass(frozen=True)
class Information:
    """Mutual information of the first expert with each label, in bits.

    bits: label -> I(expert; label), and the two of `GIVEN`.
    chance: the same with the experts dealt out anew at random: what counting so many
        bytes gives for nothing.
    most: what there is to tell: the label's entropy (what is left of it once the other
        is known), or the experts' own, whichever is smaller.
    byte_and_domain: I(current byte; domain), without any expert.
    """

    bits: Mapping[str, float]
    chance: Mapping[str, float]
    most: Mapping[str, float]
    byte_and_domain: float


def information(placed: Placed, *, seed: int = 0) -> Information:
    """Of the largest gates; with all held-out bytes chance stays small."""
    gates, labels = placed.weights, _labels(placed)
    draw = torch.Generator().manual_seed(seed)
    dealt = gates[torch.randperm(len(gates), generator=draw)]
    both = _both(placed)
    entropy = {name: _entropy(label) for name, label in labels.items()}
    whole = _entropy(both)
    known = (whole - entropy["current byte"], whole - entropy["domain"])
    most = entropy | dict(zip(GIVEN, known, strict=True))
    ceiling = _entropy(placed.first)
    return Information(
        bits=_all(gates, labels, both),
        chance=_all(dealt, labels, both),
        most={name: min(bits, ceiling) for name, bits in most.items()},
        byte_and_domain=entropy["current byte"] + entropy["domain"] - whole,
    )


def foretold(placed: Placed, longest: int = 3) -> dict[str, float]:
    """What is known -> the share of bytes whose first expert it foretells.

    The guess is the expert that is most frequent there in the other half of the text
    (every second stretch of 128 bytes). An ending that does not occur there is guessed
    by the next shorter one.
    """
    expert, count = placed.first, placed.routing.num_experts
    half = torch.arange(len(expert), device=expert.device) // STRETCH % 2
    place = (NO_BYTE + 1) ** torch.arange(longest, device=expert.device)
    nothing = torch.zeros_like(expert)
    known = {"nothing": nothing, "domain": placed.domain}
    for n in range(1, longest + 1):
        ending = placed.context[:, -n:] @ place[:n]
        name = f"last {n} bytes" if n > 1 else "current byte"
        known[name] = ending.unique(return_inverse=True)[1]
    shares, guess = {}, nothing
    for name, label in known.items():
        seen = label.new_zeros(2, int(label.max()) + 1, count)
        ones = torch.ones_like(label)
        seen = seen.index_put((half, label, expert), ones, accumulate=True)
        there = seen[1 - half, label]  # [N, E]: how often, in the other half
        guess = torch.where(there.any(dim=1), there.argmax(dim=1), guess)
        shares[name] = (guess == expert).double().mean().item()
    return shares


def _labels(placed: Placed) -> dict[str, Tensor]:
    return {
        "domain": placed.domain,
        "byte class": CLASS_OF[placed.byte],
        "current byte": placed.byte,
        "next byte": placed.following,
    }


def _both(placed: Placed) -> Tensor:
    """Byte and domain as one label; only pairs that occur get a number."""
    pair = placed.byte * len(placed.domains) + placed.domain
    return pair.unique(return_inverse=True)[1]


def _all(gates: Tensor, labels: Mapping[str, Tensor], both: Tensor) -> dict[str, float]:
    found = {name: _bits(gates, label) for name, label in labels.items()}
    together = _bits(gates, both)  # the chain rule: I(E; A, B) = I(E; B) + I(E; A | B)
    told = (together - found["current byte"], together - found["domain"])
    return found | dict(zip(GIVEN, told, strict=True))


def _entropy(label: Tensor) -> float:
    """In bits."""
    return torch.special.entr(label.bincount().double() / len(label)).sum().item() / BIT


def _bits(gates: Tensor, label: Tensor) -> float:
    return mutual_information(gates, label) / BIT
