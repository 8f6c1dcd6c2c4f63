"""The made tasks are what their docstrings say."""

import math

import torch

from moe_lib.data.made import NOISE, SLOPES, robot_arm, zigzag


def test_each_piece_of_the_zigzag_is_its_line():
    x, y, piece = zigzag(4000, seed=1)
    assert x.min() >= -2 and x.max() < 2
    for k, slope in enumerate(SLOPES):
        mine = piece == k
        assert ((x[mine] >= k - 2) & (x[mine] < k - 1)).all()
        rows = torch.cat([x[mine], torch.ones_like(x[mine])], dim=1)
        line = torch.linalg.lstsq(rows, y[mine]).solution
        assert abs(line[0].item() - slope) < 0.06
        assert abs((rows @ line - y[mine]).std().item() - NOISE) < 0.01


def test_the_arm_obeys_newton():
    # energy of two free point masses: it may change only by the torques' power
    x, y = robot_arm(200, seed=2)
    u = x / 3**0.5
    q1, q2 = math.pi * u[:, 0], math.pi * u[:, 1]
    v, torque = 2 * u[:, 2:4], 5 * u[:, 4:]

    def energy(q1, q2, v1, v2):
        first = torch.stack([-q1.sin() * v1, q1.cos() * v1])
        both = q1 + q2
        second = first + torch.stack([-both.sin(), both.cos()]) * (v1 + v2)
        return 0.5 * (first.square().sum(0) + second.square().sum(0))

    dt = 1e-5

    def at(t):
        # second order in time, so the central difference is right to dt^2
        return energy(
            q1 + t * v[:, 0] + t * t / 2 * y[:, 0],
            q2 + t * v[:, 1] + t * t / 2 * y[:, 1],
            v[:, 0] + t * y[:, 0],
            v[:, 1] + t * y[:, 1],
        )

    power = (at(dt) - at(-dt)) / (2 * dt)
    torch.testing.assert_close(power, (torque * v).sum(1), rtol=1e-5, atol=1e-5)
