"""Why load cannot be counted: the normal CDF that smooths the choice of k."""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.course.load_estimator import formula_top_k, monte_carlo_top_k
from moe_lib.notation import letter
from moe_lib.routers.choose import top_k_indices

REACH = 3.2  # of the density's drawing, in deviations
HUMP = 0.85  # its height, in rows


def load_estimator_scene(
    clean: Tensor,
    noisy: Tensor,
    spread: Tensor,
    k: int,
    *,
    expert: int = 0,
    states: int = 25,
    draws: int = 400,
    seed: int = 0,
) -> dict:
    """A Player scene: one token's logits, and P(x, i) as i's clean logit moves.

    The noises of all experts stay as they are. Panel 1: who is chosen, and where i's
    *fresh* noise would put it. Panel 2: P by formula, by ``draws`` fresh noises, and
    what counting gives.

    Args:
        clean, noisy, spread: ``[E]`` of one token, x W_g, H(x), the noise's deviation.
        k: below E.
        expert: i, whose clean logit the slider moves.

    Raises:
        ValueError: k is not below E, so that there is no threshold.
    """
    if k >= len(clean):
        raise ValueError(f"k={k} of {len(clean)} experts: give a k below that")
    clean, noisy, spread = (v.double() for v in (clean, noisy, spread))
    others = torch.cat([noisy[:expert], noisy[expert + 1 :]])
    threshold = others.sort(descending=True).values[k - 1].item()
    noise, width = (noisy - clean)[expert].item(), spread[expert].item()
    places = torch.linspace(-2.6, 2.6, states).double() * width + threshold
    table = clean.repeat(states, 1), noisy.repeat(states, 1), spread.repeat(states, 1)
    table[0][:, expert] = places
    table[1][:, expert] = places + noise
    generator = torch.Generator().manual_seed(seed)
    p = formula_top_k(*table, k)[:, expert]
    frequency = monte_carlo_top_k(*table, k, draws, generator)[:, expert]
    chosen = [set(row) for row in top_k_indices(table[1], k).tolist()]
    name = letter(expert)
    frames = [
        {
            "panels": [
                [*_density(place, width, threshold, expert),
                 _logits(table[1][s], chosen[s])],
                [{"type": "points", "x": [place], "y": [p[s].item()], "size": 7,
                  "color": expert, "front": True}],
            ],
            "readout": [
                [f"P({name} among the {k}), formula", f"{p[s]:.2f}"],
                [f"{draws} draws", f"{frequency[s]:.2f}"],
                ["counted now", str(int(expert in chosen[s]))],
                ["slope of P", f"{_slope(place, threshold, width):.2f}"],
                ["slope of the count", "0"],
            ],
            "handle": {"panel": 0, "x": place, "y": expert},
        }
        for s, place in enumerate(places.tolist())
    ]  # fmt: skip
    low = min(*noisy.tolist(), places[0].item() - width)
    high = max(*noisy.tolist(), places[-1].item() + width)
    axis = {"label": "logit", "range": [low - 0.2, high + 0.2]}
    step = [axis["range"][0], *2 * [threshold - noise], axis["range"][1]]
    return {
        "title": f"How probable is it that {name} stays among the {k}?",
        "alt": f"Left: the noisy logits of {len(clean)} experts as discs and the"
        f" threshold {threshold:.2f} that {name} has to beat; around {name}'s clean"
        " logit the normal density of its fresh noise, the part above the threshold"
        f" filled. Right: that part, P, rises smoothly from {p[0]:.2f} to {p[-1]:.2f}"
        f" with the clean logit; frequencies of {draws} draws lie on the curve; the"
        f" count jumps from 0 to 1 at {threshold - noise:.2f}.",
        "caption": f"Drag the ring: {name}'s clean logit. The hill past the line is"
        " P. The count jumps once and is flat elsewhere; P has a slope.",
        "slider": {"label": f"clean logit of {name}",
                   "values": [f"{v:+.2f}".replace("-", "\u2212")
                              for v in places.tolist()]},
        "start": states // 3,
        "panels": [
            {"title": "One token's logits, with noise", "x": axis,
             "y": {"label": "expert", "range": [len(clean) - 0.4, -1.1],
                   "ticks": [[e, letter(e)] for e in range(len(clean))]},
             "layers": [
                 {"type": "line", "x": 2 * [threshold], "y": [len(clean), -0.65],
                  "color": "ink", "dash": True},
                 {"type": "text", "x": threshold, "y": -0.95, "anchor": "middle",
                  "text": f"{name} has to beat this"}]},
            {"title": f"Chance of {name} against its clean logit",
             "x": {**axis, "label": f"clean logit of {name}"},
             "y": {"label": "P(x, i)", "range": [-0.06, 1.06]},
             "layers": [
                 {"type": "line", "x": step, "y": [0, 0, 1, 1], "color": "muted",
                  "dash": True},
                 _curve(axis["range"], threshold, width, expert),
                 {"type": "points", "x": places.tolist(), "y": frequency.tolist(),
                  "color": "ink", "shape": "diamond", "size": 3}]},
        ],
        "legend": [
            {"shape": "disc", "text": f"noisy logit, among the {k}"},
            {"shape": "disc", "hollow": True, "text": "not chosen"},
            {"line": "solid", "color": expert, "text": "P by formula"},
            {"shape": "diamond", "text": f"share of {draws} draws"},
            {"line": "dash", "color": "muted", "text": "counted"},
        ],
        "states": [frames],
    }  # fmt: skip


def _logits(noisy: Tensor, chosen: set[int]) -> dict:
    experts = range(len(noisy))
    return {
        "type": "points", "x": noisy.tolist(), "y": list(experts), "size": 6,
        "color": list(experts), "hollow": [e not in chosen for e in experts],
        "front": True,
    }  # fmt: skip


def _density(place: float, width: float, threshold: float, expert: int) -> list[dict]:
    """The hill of fresh noise on the expert's row, and its part past the threshold."""
    left, right = place - REACH * width, place + REACH * width
    return [
        _hill(left, right, place, width, expert, 0.22),
        _hill(min(max(left, threshold), right), right, place, width, expert, 0.6),
    ]


def _hill(
    left: float, right: float, place: float, width: float, expert: int, opacity: float
) -> dict:
    x = torch.linspace(left, right, 41, dtype=torch.float64)
    height = HUMP * torch.exp(-0.5 * ((x - place) / width).square())
    return {
        "type": "band", "x": x.tolist(), "low": [expert] * len(x),
        "high": (expert - height).tolist(), "color": expert, "opacity": opacity,
    }  # fmt: skip


def _curve(ends: list[float], threshold: float, width: float, expert: int) -> dict:
    x = torch.linspace(*ends, 81, dtype=torch.float64)
    y = torch.special.ndtr((x - threshold) / width)
    return {"type": "line", "x": x.tolist(), "y": y.tolist(), "color": expert,
            "width": 2.5}  # fmt: skip


def _slope(place: float, threshold: float, width: float) -> float:
    """dP / d clean: the density of the noise at the threshold."""
    normal = torch.distributions.Normal(place, width)
    return normal.log_prob(torch.tensor(threshold)).exp().item()
