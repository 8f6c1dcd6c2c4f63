"""The vowel movie: which expert rules where, over training (figures 2 and 3)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from moe_lib.data.vowels import IPA, WORDS, Scaler, Vowels
from moe_lib.models.adaptive_mixture import AdaptiveMixture
from moe_lib.notation import letter
from moe_lib.training import Trainer

F1_RANGE, F2_RANGE, CELLS = (150.0, 1350.0), (500.0, 3700.0), 32
SHAPES = ("disc", "diamond", "square", "triangle")
ALIVE = 0.05  # an expert counts as alive when its mean gate is above this


def vowel_points(vowels: Vowels) -> dict:
    """The measurements as a layer: a shape per vowel, no colour (that is experts')."""
    return {
        "type": "points",
        "x": vowels.formants[:, 0].tolist(),
        "y": vowels.formants[:, 1].tolist(),
        "shape": [SHAPES[i % 4] for i in vowels.label.tolist()],
        "hollow": [i % 2 == 1 for i in vowels.label.tolist()],
        "color": "ink",
        "size": 3,
        "opacity": 0.75,
        "front": True,
    }


def territory_scene(train: Vowels, runs: Mapping[str, Trainer], title: str) -> dict:
    """A Player scene: gate territory and decision lines over the epochs.

    Args:
        runs: name -> a trainer of an `AdaptiveMixture.linear` whose snapshots are to
            be shown. The steps that all have become the slider: of a run that was
            stopped there are fewer.

    Raises:
        ValueError: no step has a snapshot in every run.
    """
    steps = sorted(set.intersection(*(set(run.snapshots) for run in runs.values())))
    if not steps:
        raise ValueError("the runs have no snapshot in common: give all the same keep=")
    scaler = Scaler.of(train.formants)
    states = [[*_states(train, scaler, run, steps)] for run in runs.values()]
    num_experts = next(iter(runs.values())).model.router.num_experts
    legend = [
        {"shape": SHAPES[i], "hollow": i % 2 == 1, "color": "ink",
         "text": f"[{IPA[name]}] {WORDS[name]}"}
        for i, name in enumerate(train.names)
    ]  # fmt: skip
    letters = ", ".join(letter(e) for e in range(num_experts))
    return {
        "title": title,
        "alt": "Vowels by first and second formant. The ground is tinted with the"
        f" expert ({letters}) that the gate prefers there; each line is one expert's"
        " border between its two vowels. Beside it, each expert's mean share.",
        "caption": "Tint: the gate's favourite, deeper where it is surer. Line: where"
        " an expert switches between its two vowels; dashed below a share of 5 %.",
        "slider": {"label": "epoch", "values": [str(s) for s in steps]},
        "variants": {"label": "loss", "names": list(runs)},
        "start": len(steps) - 1,
        "play": True,
        "panels": [
            {"title": "Who rules where", "weight": 2, "layers": [vowel_points(train)],
             "x": {"label": "F1 (Hz)", "range": list(F1_RANGE)},
             "y": {"label": "F2 (Hz)", "range": list(F2_RANGE)}},
            {"title": "Mean gate", "weight": 1, "layers": [],
             "x": {"label": "expert", "range": [-0.6, num_experts - 0.4],
                   "ticks": [[i, letter(i)] for i in range(num_experts)]},
             "y": {"label": "share of the cases", "range": [0, 1]}},
        ],
        "legend": legend,
        "states": states,
    }  # fmt: skip


def _states(train: Vowels, scaler: Scaler, run: Trainer, steps: list[int]):
    model = _with(run.model, run.snapshots[steps[-1]])
    x = scaler(train.formants).float()
    pairs = _vowels_of_experts(model, x, train.one_hot.float())
    errors = run.history["error"]
    for step in steps:
        model = _with(run.model, run.snapshots[step])
        with torch.no_grad():
            share = model.router(x).router_probs.mean(dim=0)
            right = (model.blend(x).argmax(1) == train.label).float().mean()
        error = errors[min(step, len(errors) - 1)]
        bars = {"type": "bars", "x": list(range(len(share))), "value": share.tolist(),
                "color": list(range(len(share)))}  # fmt: skip
        yield {
            "panels": [[_regions(model, scaler), *_lines(model, scaler, pairs, share)],
                       [bars]],
            "readout": [["average squared error", f"{error:.3f}"],
                        ["named rightly", f"{100 * right:.0f} %"],
                        ["experts above 5 %", str(int((share > ALIVE).sum()))]],
        }  # fmt: skip


def _with(model: AdaptiveMixture, state: dict[str, Tensor]) -> AdaptiveMixture:
    copy = AdaptiveMixture.linear(2, 4, model.router.num_experts)
    copy.load_state_dict(state)
    return copy


def _regions(model: AdaptiveMixture, scaler: Scaler) -> dict:
    """The gate's favourite in each cell of a grid, and how sure it is (0..9)."""
    f1, f2 = (
        torch.linspace(low, high, 2 * CELLS + 1, dtype=torch.float64)[1::2]
        for low, high in (F1_RANGE, F2_RANGE)
    )
    grid = torch.cartesian_prod(f2, f1).flip(1)  # [CELLS * CELLS, 2], F1 runs fastest
    with torch.no_grad():
        probs = model.router(scaler(grid).float()).router_probs
    top, owner = probs.max(dim=1)
    fair = 1 / probs.shape[1]
    sure = ((top - fair) / (1 - fair) * 9.99).long() if fair < 1 else top.long() * 9
    return {
        "type": "regions", "x": list(F1_RANGE), "y": list(F2_RANGE),
        "nx": CELLS, "ny": CELLS,
        "owner": "".join(map(str, owner.tolist())),
        "strength": "".join(map(str, sure.tolist())),
    }  # fmt: skip


def _vowels_of_experts(model: AdaptiveMixture, x: Tensor, d: Tensor) -> Tensor:
    """``[E, 2]``: the two vowels of which each expert gets most, by the gate."""
    with torch.no_grad():
        gates = model.router(x).router_probs
    return (gates.T @ d).topk(2, dim=1).indices.sort(dim=1).values


def _lines(model: AdaptiveMixture, scaler: Scaler, pairs: Tensor, share: Tensor):
    """Each expert's straight border between its two vowels, clipped to the picture."""
    num_experts, classes = len(share), model.experts.d_out
    w = model.experts.weight.detach().double().view(2, num_experts, classes)
    b = model.experts.bias.detach().double().view(num_experts, classes)
    for e, (one, two) in enumerate(pairs.tolist()):
        slope = (w[:, e, one] - w[:, e, two]) / scaler.std  # in Hz
        offset = b[e, one] - b[e, two] - (slope * scaler.mean).sum()
        ends = _clip(slope.tolist(), offset.item())
        alive = bool(share[e] > ALIVE)
        yield {
            "type": "line", "x": [p[0] for p in ends], "y": [p[1] for p in ends],
            "color": e, "width": 2.5 if alive else 1, "dash": not alive,
            "label": letter(e) if ends else "",
        }  # fmt: skip


def _clip(slope: list[float], offset: float) -> list[tuple[float, float]]:
    """Where ``slope . p + offset = 0`` meets the edges: two points, or none."""
    (a, b), points = slope, []
    for x in F1_RANGE:
        if b and F2_RANGE[0] <= (y := -(a * x + offset) / b) <= F2_RANGE[1]:
            points.append((x, y))
    for y in F2_RANGE:
        if a and F1_RANGE[0] <= (x := -(b * y + offset) / a) <= F1_RANGE[1]:
            points.append((x, y))
    return [min(points), max(points)] if len(points) >= 2 else []
