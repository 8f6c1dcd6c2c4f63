"""What the race asks of each model at a checkpoint, beside its bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from moe_lib.course.race_setup import Setup
from moe_lib.course.switch_runs import Judge, SwitchRun, train_in_turns
from moe_lib.course.switch_setup import LENGTH
from moe_lib.data.domain_text import DomainText, Span
from moe_lib.models.byte_tables import NO_BYTE
from moe_lib.running import evaluating

TEXTS = 32  # 2,048 bytes, as many as the models are trained on at once
BYTES_OF_STATE = 16  # of a weight in training: itself, its gradient, Adam's two moments


def heldout_batch(text: DomainText, masked: bool) -> Tensor:
    """`TEXTS` held-out texts of all domains, ``[32, 64]`` int64, always the same; every
    seventh byte is hidden if ``masked``."""
    windows = text.heldout_windows(Span(1, LENGTH))[:, :, 1:]  # [D, n, 64]
    apart = max(1, windows.shape[1] * len(windows) // TEXTS)
    inputs = windows.flatten(0, 1)[::apart][:TEXTS]
    if not masked:
        return inputs
    hidden = torch.arange(LENGTH, device=inputs.device) % 7 == 3
    return inputs.masked_fill(hidden, NO_BYTE)


def load_judge(text: DomainText, masked: bool) -> Judge:
    """``judge(model)`` finds, on `heldout_batch`:

    "load cv", the coefficient of variation of the tokens that experts serve, and
    "unserved", the share of tokens without any; 0 of a model without experts.
    """
    inputs = heldout_batch(text, masked)

    def judge(model: nn.Module) -> dict[str, Tensor]:
        with evaluating(model):
            _, routings = model(inputs)
        if not routings:
            return {"load cv": torch.zeros(()), "unserved": torch.zeros(())}
        load = routings[0].tokens_per_expert.double()
        served = torch.zeros(inputs.numel(), device=inputs.device)
        rows = routings[0].token_index[routings[0].kept]
        served[rows] = 1.0
        return {
            "load cv": (load.std(correction=0) / load.mean()).float().cpu(),
            "unserved": 1 - served.mean().cpu(),
        }

    return judge


def run_race(
    setups: Mapping[str, Setup],
    text: DomainText,
    seed: int = 0,
    checkpoints: Sequence[int] | None = None,
    *,
    device: torch.device | str = "cpu",
) -> dict[str, SwitchRun]:
    """Train all side by side on the same batches; ``more`` has what `load_judge` finds.

    The arguments are those of `train_in_turns`.

    Raises:
        KeyboardInterrupt: after the step in hand.
    """
    masked = next(iter(setups.values())).masked
    judge = load_judge(text, masked)
    return train_in_turns(setups, text, seed, checkpoints, judge=judge, device=device)


def race_columns(runs: Mapping[str, SwitchRun]) -> dict[str, Tensor]:
    """Of one seed: "arm: what" for bits, seconds, load cv and unserved ``[C]``, and
    for dropped (of all choices in training), parameters and flops, 0-d."""
    columns = {}
    for name, run in runs.items():
        drops = run.history.get("drop_fraction", torch.zeros(1, 1))
        found = {
            "bits": run.bits,
            "seconds": run.seconds,
            **run.more,
            "dropped": drops.mean(),
            "parameters": torch.tensor(float(run.parameters)),
            "flops": torch.tensor(float(run.setup.flops)),
        }
        columns |= {f"{name}: {what}": value for what, value in found.items()}
    return columns
