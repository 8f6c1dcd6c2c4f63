"""The EM movie: four experts and three gates share out a zigzag, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from moe_lib.models.hierarchical_mixture import HierarchicalMixture
from moe_lib.notation import letter

GRID, SHAPES = 41, ("disc", "diamond", "square", "triangle")


def em_scene(
    x: Tensor, y: Tensor, seeds: Mapping[str, int], iterations: Sequence[int]
) -> dict:
    """A Player scene of EM on one input and one target.

    Args:
        x, y: ``[T, 1]`` float64.
        seeds: name of a start -> its seed; each becomes a variant.
        iterations: the iterations that the slider visits, rising from 0.

    Raises:
        ValueError: the iterations do not rise.
    """
    if list(iterations) != sorted(set(iterations)):
        raise ValueError(f"iterations={list(iterations)}: give rising whole numbers")
    runs = [[*_states(x, y, seed, iterations)] for seed in seeds.values()]
    low, high = x.min().item(), x.max().item()
    margin = 0.15 * (y.max() - y.min()).item()
    side = 0.02 * (high - low)
    axis = {"label": "input x", "range": [low - side, high + side]}
    return {
        "title": "How do four straight lines share out a zigzag?",
        "alt": "Above a zigzag of points, four straight lines, one per expert, A and B"
        " in one group, C and D in the other. Beside it the gates' shares along the"
        " input. As EM goes on, each line settles on one piece of the zigzag, or, from"
        " some starts, two lines settle on the same piece.",
        "caption": "Points take the letter's colour of the expert that is most"
        " responsible. A line is thick where the gates prefer its expert.",
        "slider": {"label": "EM iteration", "values": [str(i) for i in iterations]},
        "variants": {"label": "start", "names": list(seeds)},
        "start": len(iterations) - 1,
        "play": True,
        "interval_ms": 350,
        "panels": [
            {"title": "Experts and the cases they answer for", "weight": 3,
             "layers": [], "x": axis,
             "y": {"label": "target y", "range": [y.min().item() - margin,
                                                  y.max().item() + margin]}},
            {"title": "Gates: who may answer where", "weight": 2, "layers": [],
             "x": axis, "y": {"label": "share", "range": [0, 1]}},
        ],
        "legend": [{"shape": "badge", "color": k,
                    "text": f"expert {k % 2 + 1} of group {k // 2 + 1}"}
                   for k in range(4)],
        "states": runs,
    }  # fmt: skip


def _states(x: Tensor, y: Tensor, seed: int, iterations: Sequence[int]):
    model = HierarchicalMixture(1, 1, (2, 2), seed=seed)
    grid = torch.linspace(x.min().item(), x.max().item(), GRID, dtype=x.dtype)[:, None]
    done = 0
    for iteration in iterations:
        for _ in range(iteration - done):
            model.em_step(x, y)
        done = iteration
        with torch.no_grad():
            owner = model.responsibilities(x, y)[2].flatten(1).argmax(dim=1)
            top, low = model.log_gates(grid)
            gates = (top.unsqueeze(2) + low).exp().flatten(1)  # [GRID, 4]
            lines = model.outputs(grid).flatten(1)
            value = model.log_likelihood(x, y).item()
        yield {
            "panels": [
                [*_points(x, y, owner), *_lines(grid, lines, gates)],
                _areas(grid, gates),
            ],
            "readout": [
                ["log-likelihood per case", f"{value:+.3f}"],
                ["experts that own cases", str(len(owner.unique()))],
            ],
        }


def _points(x: Tensor, y: Tensor, owner: Tensor):
    """The cases, a layer for each expert that is most responsible for some."""
    for k in owner.unique().tolist():
        mine = owner == k
        yield {"type": "points", "x": x[mine, 0].tolist(), "y": y[mine, 0].tolist(),
               "color": k, "shape": SHAPES[k % 4], "size": 3.2}  # fmt: skip


def _lines(grid: Tensor, lines: Tensor, gates: Tensor):
    """Each expert's line: thin everywhere, thick and lettered where it is preferred."""
    xs, favourite = grid[:, 0], gates.argmax(dim=1)
    for k in range(lines.shape[1]):
        ends = [0, GRID - 1]
        yield {"type": "line", "x": xs[ends].tolist(), "y": lines[ends, k].tolist(),
               "color": k, "width": 1, "dash": True, "clip": True}  # fmt: skip
        mine = (favourite == k).nonzero().flatten().tolist()
        for run in _runs(mine):
            label = letter(k) if run[-1] == mine[-1] else ""
            yield {"type": "line", "x": xs[run].tolist(), "y": lines[run, k].tolist(),
                   "color": k, "width": 3, "label": label, "clip": True}  # fmt: skip


def _runs(cells: list[int]) -> list[list[int]]:
    """Neighbouring numbers together, first and last of each run: [3,4,5] -> [[3,5]]."""
    runs: list[list[int]] = []
    for cell in cells:
        if runs and cell == runs[-1][1] + 1:
            runs[-1][1] = cell
        else:
            runs.append([cell, cell])
    return runs


def _areas(grid: Tensor, gates: Tensor) -> list[dict]:
    tops = gates.cumsum(dim=1)
    xs = grid[:, 0].tolist()
    floors = (tops - gates).round(decimals=3)
    areas = [
        {"type": "band", "x": xs, "low": floors[:, k].tolist(),
         "high": tops[:, k].round(decimals=3).tolist(), "color": k, "opacity": 0.55}
        for k in range(gates.shape[1])
    ]  # fmt: skip
    for k in range(gates.shape[1]):  # a letter where the area is widest
        if gates[:, k].max() > 0.15:
            widest = (gates[:, k] > 0.95 * gates[:, k].max()).nonzero().flatten()
            at = min(max(int(widest.median()), 2), GRID - 3)
            areas.append({"type": "text", "x": xs[at], "text": letter(k),
                          "y": (tops[at, k] - gates[at, k] / 2).item(),
                          "color": "ink", "anchor": "middle"})  # fmt: skip
    return areas
