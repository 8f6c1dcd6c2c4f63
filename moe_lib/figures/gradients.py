"""Who learns from a case? The three losses of 1991 on one target, live."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from moe_lib.losses import gradients_by_hand
from moe_lib.notation import letter

NAMES = {
    "cooperative": "1.1 cooperative",
    "competitive": "1.2 competitive",
    "likelihood": "1.3 likelihood",
}


def who_learns_scene(outputs: Sequence[float], targets: Sequence[float]) -> dict:
    """A Player scene: how hard each loss pulls at each expert's output.

    Args:
        outputs: what each expert answers (one number each, ``E`` of them).
        targets: the positions of the target that the slider visits.
    """
    o = torch.tensor(outputs, dtype=torch.float64).view(1, -1, 1)  # [1, E, 1]
    gates = torch.full(o.shape[:2], 1 / o.shape[1], dtype=torch.float64)
    low, high = min(*outputs, *targets) - 0.4, max(*outputs, *targets) + 0.4
    states, top = [], 0.0
    for target in targets:
        d = torch.tensor([[target]], dtype=torch.float64)
        panels = []
        for name in NAMES:
            pull = gradients_by_hand(name, o, gates, d)[0].abs().flatten()
            top = max(top, pull.max().item())
            panels.append(_bars(outputs, pull.tolist(), target))
        states.append({"panels": panels})
    for state, target in zip(states, targets, strict=True):
        state["handle"] = {"panel": 0, "x": target, "y": 1.02 * top}
        for panel in state["panels"]:
            panel[0]["y"] = [0, 1.02 * top]
    axis = {"label": "answer of the expert", "range": [low, high]}
    letters = ", ".join(f"{letter(i)} at {v:g}" for i, v in enumerate(outputs))
    return {
        "title": "Who learns from this case?",
        "alt": f"Experts {letters} and a target that moves between them. Bars: the size"
        " of the gradient at each expert's output under the three losses of 1991.",
        "caption": "Drag the ring: the target. 1.1 pulls at all alike, 1.2 hardest at"
        " the worst expert, 1.3 hardest at those already near.",
        "slider": {"label": "target", "values": [f"{t:+.2f}" for t in targets]},
        "start": len(targets) // 3,
        "panels": [
            {"title": title, "layers": [], "x": axis,
             "y": {"label": "|gradient|" if i == 0 else "", "range": [0, 1.1 * top]}}
            for i, title in enumerate(NAMES.values())
        ],
        "states": [states],
    }  # fmt: skip


def _bars(outputs: Sequence[float], pull: list[float], target: float) -> list[dict]:
    count = len(outputs)
    return [
        {"type": "line", "x": [target, target], "y": [0, 0], "color": "ink",
         "dash": True},
        {"type": "bars", "x": list(outputs), "value": pull,
         "color": list(range(count)), "label": [letter(e) for e in range(count)]},
    ]  # fmt: skip
