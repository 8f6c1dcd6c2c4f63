"""Made-up columns of "04-capacity" and "04-balance" in which every claim holds."""

import torch
from torch import Tensor

from moe_lib.course.measurements_04_capacity import COEFFICIENTS, FACTORS


def seeds(centre: float, spread: float = 0.0005) -> Tensor:
    """``[3]``: around a centre."""
    return centre + spread * torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)


def dropped_at(factor: float) -> float:
    """The share that is dropped: all but the places, then less and less."""
    return max(1 - factor, 0.0) + 0.005 / factor


def capacity() -> dict[str, Tensor]:
    """By training factor; the bits depend on what is dropped, little on training."""
    columns = {}
    for trained in FACTORS:
        name = f"{trained:g}"
        share = [dropped_at(judged) for judged in FACTORS]
        bits = [2 + 0.4 * dropped + 0.05 * dropped_at(trained) for dropped in share]
        columns[f"{name}: eval dropped"] = torch.stack(
            [seeds(v, 1e-4) for v in share], 1
        )
        columns[f"{name}: bits"] = torch.stack([seeds(v) for v in bits], 1)
        columns[f"{name}: bits with room"] = seeds(2 + 0.05 * dropped_at(trained))
        columns[f"{name}: training dropped"] = seeds(dropped_at(trained), 1e-4)
        columns[f"{name}: seconds"] = seeds(16 + trained, 0.1)
    return columns


def balance() -> dict[str, Tensor]:
    """By coefficient: even loads, and alike experts, the larger it is."""
    columns = {"untrained: similarity": seeds(0.0)}
    limited = [(w, " at 1.25") for w in (0, 0.01, 1)]
    for w, suffix in [*((w, "") for w in COEFFICIENTS), *limited]:
        arm, pressure = f"{w:g}{suffix}", COEFFICIENTS.index(w)
        bits = 2.0 + 0.01 * abs(pressure - 3)
        columns |= {
            f"{arm}: bits": seeds(bits),
            f"{arm}: dropped": seeds(0.3 / (1 + pressure) if suffix else 0.0, 1e-4),
            f"{arm}: max_over_mean": seeds(1 + 8 / (1 + pressure), 0.1),
            f"{arm}: similarity": seeds(0.1 + 0.05 * pressure),
            f"{arm}: second best": seeds(bits + 0.1 / (1 + pressure)),
        }
    return columns
