"""Two regression tasks whose truth is known: a zigzag, and a robot arm."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from moe_lib.checks import require_count

# the zigzag: four straight pieces on -2..2, each from its own height with its own slope
STARTS, SLOPES, NOISE = (-1.0, 1.5, -1.2, 0.2), (2.0, -2.5, 0.5, -1.8), 0.1


def zigzag(num_points: int = 300, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Four noisy straight pieces: ``x``, ``y`` ``[T, 1]`` float64, ``piece`` ``[T]``.

    Piece k covers -2 + k .. -1 + k; the noise has standard deviation `NOISE`.

    Raises:
        ValueError: fewer than one point.
    """
    require_count("num_points", num_points)
    draw = torch.Generator().manual_seed(seed)
    x = 4 * torch.rand(num_points, 1, generator=draw, dtype=torch.float64) - 2
    piece = (x[:, 0] + 2).long().clamp(0, 3)
    start, slope = (torch.tensor(v, dtype=x.dtype)[piece] for v in (STARTS, SLOPES))
    noise = torch.randn(num_points, generator=draw, dtype=x.dtype)
    y = start + slope * (x[:, 0] + 2 - piece) + NOISE * noise
    return x, y[:, None], piece


def robot_arm(num_cases: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """How a planar arm with two joints speeds up: ``x`` ``[T, 6]``, ``y`` ``[T, 2]``.

    Inputs: two joint angles (within a full turn), two angular velocities (up to 2 per
    second) and two torques (up to 5), drawn uniformly and scaled to unit variance.
    Targets: the two angular accelerations, exact, for two unit point masses at the ends
    of two massless unit links without gravity. Jordan and Jacobs (1994) used an arm
    with four joints, 12 inputs and 4 targets; this one is small enough for a notebook.

    Raises:
        ValueError: fewer than one case.
    """
    require_count("num_cases", num_cases)
    draw = torch.Generator().manual_seed(seed)
    u = 2 * torch.rand(num_cases, 6, generator=draw, dtype=torch.float64) - 1
    angle, v, torque = math.pi * u[:, 1], 2 * u[:, 2:4], 5 * u[:, 4:]
    cos, sin = angle.cos(), angle.sin()
    # what is left of each torque after the centrifugal and Coriolis forces
    left_1 = torque[:, 0] + sin * (2 * v[:, 0] * v[:, 1] + v[:, 1].square())
    left_2 = torque[:, 1] - sin * v[:, 0].square()
    # the inertia matrix [[3 + 2 cos, 1 + cos], [1 + cos, 1]], inverted by hand
    own, shared = 3 + 2 * cos, 1 + cos
    determinant = own - shared.square()
    y = torch.stack([left_1 - shared * left_2, own * left_2 - shared * left_1], dim=1)
    return u * 3**0.5, y / determinant[:, None]
