"""Random numbers that kernel and page share: js/routing.js draws the same.

Number i of a stream is a hash of (seed, stream, i), so that none depends on how many
were drawn before it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

STREAMS = {"noise": 0, "jitter": 1, "hash": 2}
_32_BITS = 0xFFFFFFFF


def seeded_bits(seed: int, stream: str, index: Tensor) -> Tensor:
    """32 random bits for each ``index`` (int64, from 0), as int64."""
    h = _mix(torch.tensor(seed & _32_BITS))
    return _mix(_mix(h + STREAMS[stream]) + index)


def seeded_uniform(seed: int, stream: str, count: int) -> Tensor:
    """The first ``count`` numbers in (0, 1) of a stream, float64."""
    return (seeded_bits(seed, stream, torch.arange(count)).double() + 0.5) / 2**32


def seeded_noise(seed: int, num_tokens: int, num_experts: int) -> Tensor:
    """Standard normal numbers ``[T, E]`` float64 (Box and Muller)."""
    pairs = seeded_uniform(seed, "noise", 2 * num_tokens * num_experts).view(-1, 2)
    radius = (-2 * pairs[:, 0].log()).sqrt()
    noise = radius * (2 * math.pi * pairs[:, 1]).cos()
    return noise.view(num_tokens, num_experts)


def fnv(data: bytes) -> int:
    """The 32-bit hash FNV-1a of some bytes."""
    h = 0x811C9DC5
    for byte in data:
        h = (h ^ byte) * 0x01000193 & _32_BITS
    return h


def _mix(h: Tensor) -> Tensor:
    """A bijection of 32 bits in which each bit moves about half of the others."""
    h = h & _32_BITS
    h = (h ^ (h >> 16)) * 0x85EBCA6B & _32_BITS  # an overflow leaves the low bits right
    h = (h ^ (h >> 13)) * 0xC2B2AE35 & _32_BITS
    return h ^ (h >> 16)
