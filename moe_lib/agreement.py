"""Ranks that should have built the same: do they agree?"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def require_agreement(
    facts: Mapping[str, Any], group: dist.ProcessGroup | None = None
) -> None:
    """A ValueError on every rank where the ranks' ``facts`` differ.

    All ranks of the group must call this. The facts are gathered before any of them is
    judged, so that no rank stops alone and leaves the others waiting.
    """
    if not dist.is_initialized():
        raise ValueError(
            "torch.distributed has no process group: start the script with torchrun"
            " and call torch.distributed.init_process_group first"
        )
    if dist.get_rank(group) < 0:
        raise ValueError(
            f"rank {dist.get_rank()} is not in the group: build the layer on the"
            " group's own ranks alone"
        )
    all_facts: list = [None] * dist.get_world_size(group)
    dist.all_gather_object(all_facts, dict(facts), group=group)
    first = all_facts[0]
    for rank, theirs in enumerate(all_facts):
        for name in first | theirs:
            ours, other = first.get(name, "nothing"), theirs.get(name, "nothing")
            if ours != other:
                raise ValueError(
                    f"rank {rank} has {name}: {other}, but rank 0 has {ours}: build"
                    " the same on every rank, from the same seed"
                )


def settings_of(module: nn.Module, name: str) -> dict[str, str]:
    """Class and public settings of a module, without its weights."""
    settings = {f"class of {name}": type(module).__name__}
    for key, value in vars(module).items():
        public = not key.startswith("_") and key != "training"
        if public and " at 0x" not in repr(value):  # an address tells nothing
            settings[f"{key} of {name}"] = repr(value)
    return settings


def checksum(weights: nn.Module | Tensor) -> str:
    """Of a tensor's bytes, or of all parameters and buffers of a module."""
    if isinstance(weights, Tensor):
        data = weights.detach().cpu().contiguous().flatten().view(torch.uint8)
        return f"checksum {zlib.crc32(data.numpy()):08x}"
    state = weights.state_dict().values()
    return " ".join(checksum(value) for value in state) or "none"
