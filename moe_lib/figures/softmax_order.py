"""Softmax before or after top-k: when does it matter?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from moe_lib.notation import letter
from moe_lib.routers.choose import top_k_indices
from moe_lib.routers.noisy_top_k import keep_top_k

TITLES = (
    "Softmax, then keep k",
    "The same, divided by its sum",
    "Keep k, then softmax (2017)",
)


def weights_by_order(logits: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """The chosen experts' weights by the three orders of `TITLES`, ``[k]`` each."""
    chosen, after = keep_top_k(logits, k)
    before = logits.softmax(dim=-1).gather(-1, chosen)
    return before, before / before.sum(dim=-1, keepdim=True), after


def softmax_order_scene(logits: Tensor) -> dict:
    """A Player scene: one token's weights for k from 1 to E, by three orders.

    Args:
        logits: ``[E]``.
    """
    logits = logits.double()
    experts, every = range(len(logits)), logits.softmax(dim=0)
    states = []
    for k in range(1, len(logits) + 1):
        chosen = top_k_indices(logits, k)
        bars, sums, moves = [], [], []
        for order in range(3):
            full = torch.zeros_like(logits)
            full[chosen] = weights_by_order(logits, k)[order]
            bars.append({"type": "bars", "x": list(experts), "value": full.tolist(),
                         "color": list(experts),
                         "label": [letter(e) for e in experts]})  # fmt: skip
            sums.append(full.sum().item())
            moves.append(_steepest(logits, k, order))
        states.append({
            "panels": [[bar] for bar in bars],
            "caption": _caption(k, len(logits)),
            "readout": [
                ["sums of the weights", ", ".join(f"{s:.2f}" for s in sums)],
                ["steepest slope of a weight", ", ".join(f"{m:.2f}" for m in moves)],
            ],
        })  # fmt: skip
    told = ", ".join(f"{letter(e)} {p:.2f}" for e, p in enumerate(every.tolist()))
    rings = {"type": "points", "x": list(experts), "y": every.tolist(), "hollow": True,
             "color": "muted", "size": 4, "front": True}  # fmt: skip
    return {
        "title": "Softmax before or after top-k?",
        "alt": f"Bars: the weights of one token's chosen experts, softmax {told}, for k"
        f" from 1 to {len(logits)}. Panel 1: what is left of the softmax, its sum at"
        " most 1. Panels 2 and 3 have equal bars that sum to 1; for k = 1 one bar of"
        " 1.",
        "caption": "Slide k. Rings: the softmax over all experts.",
        "slider": {"label": "k", "values": [str(k + 1) for k in experts]},
        "start": min(1, len(logits) - 1),
        "panels": [
            {"title": title, "layers": [rings],
             "x": {"label": "expert", "range": [-0.6, len(logits) - 0.4], "ticks": []},
             "y": {"label": "weight" if i == 0 else "", "range": [0, 1.05]}}
            for i, title in enumerate(TITLES)
        ],
        "states": [states],
    }  # fmt: skip


def _steepest(logits: Tensor, k: int, order: int) -> float:
    """The largest |d weight / d logit|: 0 where the router can learn nothing."""

    def weights(h: Tensor) -> Tensor:
        return weights_by_order(h, k)[order]

    function: Callable[[Tensor], Tensor] = weights
    return torch.autograd.functional.jacobian(function, logits).abs().max().item()


def _caption(k: int, count: int) -> str:
    if k == 1:
        return (
            "k = 1: after top-k the weight is 1 whatever the logits are, its slope is"
            " 0: the router learns nothing from the output. Before top-k it has one."
        )
    if k == count:
        return "k = E: nothing is left out, all three are the full softmax."
    return (
        "The second and the third are equal. The first sums to less than 1: it also"
        " tells how sure the gate is of the k together."
    )
