"""Columns of chapter 4's arms, as if they had been measured."""

import torch

from moe_lib.course.scaling_ladder import ladder_of

STEPS = torch.arange(100.0, 1001.0, 100.0, dtype=torch.float64)
EXPERTS = (2, 4, 8, 16, 32)
FACTORS = {2: 0.01, 1.25: 0.0, 1: -0.01}  # how much more a roomier buffer learns


def columns(gain=0.05, pace=1.5, seeds=3, top_2=0.0):
    """Losses that fall with the logarithm of the steps.

    A doubling of the experts saves ``gain`` bits, and the first mixture is as good as
    the dense model with none; mixtures take ``pace`` times as long; top-2 is ``top_2``
    bits better than one expert, and a quarter slower.
    """
    noise = torch.linspace(-0.002, 0.002, seeds, dtype=torch.float64)[:, None]
    made = {}

    def add(arm, saved, slow, dropped=None):
        made[f"{arm}: bits"] = 4 - 0.3 * STEPS.log() - saved + noise
        made[f"{arm}: seconds"] = (STEPS * slow / 100) * (1 + 5 * noise)
        if dropped is not None:
            made[f"{arm}: dropped"] = torch.full((seeds, len(STEPS)), dropped)

    for k, rate in enumerate((0.007, 0.014, 0.028)):
        add(f"dense at {rate:g}", 0.02 * (k == 1), 1)
    for rate in (0.007, 0.014):
        add(f"large at {rate:g}", 0.1, 3.2)
    for e in EXPERTS:
        add(f"switch {e}", 0.02 + gain * torch.tensor(e).log2(), pace, 0.005)
    for factor, more in FACTORS.items():
        saved = 0.02 + 4 * gain + more
        if factor != 1.25:
            add(f"switch 16, {factor:g}", saved, pace + more, 0.0)
        add(f"top-2, {factor:g}", saved + top_2, 1.25 * pace, 0.01)
    return made


def ladder(**how):
    """The same with their setups and steps."""
    return ladder_of(columns(**how))
