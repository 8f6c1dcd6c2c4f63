"""Made-up columns of "05-pretraining" and "05-dilemma" in which every claim holds."""

import torch
from torch import Tensor

from made_up_knobs import seeds
from moe_lib.course.measurements_05_dilemma import CHOICE as NO_LOSS
from moe_lib.course.measurements_05_dilemma import COEFFICIENTS
from moe_lib.course.measurements_05_pretraining import ARMS, CHOICE, HALF, MARKS
from moe_lib.data.tasks import TASKS

ENDS = {
    "dense": 3.5,
    "top-1 + loss": 3.4,
    "top-2 + loss": 3.3,
    "hash": 3.35,
    "expert choice 0.5": 3.2,
    "expert choice 1": 3.1,
    CHOICE: 2.8,
    f"{CHOICE}, cap 2": 2.9,
    f"{CHOICE}, cap 3": 2.8,
    HALF: 3.3,
}


def pretraining() -> dict[str, Tensor]:
    """Bits fall by 0.25 a checkpoint; on the last task top-1 is ahead."""
    columns = {}
    for arm in ARMS:
        end, later = ENDS[arm], torch.arange(len(MARKS) - 1.0, -1, -1).double()
        columns[f"{arm}: bits"] = seeds(end)[:, None] + 0.25 * later
        uneven = 0.0 if "choice" in arm else 0.4
        columns[f"{arm}: load cv"] = torch.full((3, len(MARKS)), uneven)
        columns[f"{arm}: unserved"] = torch.full((3, len(MARKS)), 0.05)
        served = torch.tensor([0.05, 0.3, 0.4, 0.2, 0.04, 0.01])
        columns[f"{arm}: served"] = served.expand(3, -1)
        for k, task in enumerate(TASKS):
            right = 0.9 - 0.1 * end - 0.05 * k
            if k == len(TASKS) - 1 and arm == "top-1 + loss":
                right += 0.07
            columns[f"{arm}: {task}: test accuracy"] = seeds(right, 0.002)
            columns[f"{arm}: {task}: train accuracy"] = seeds(0.95, 0.002)
    return columns


def dilemma() -> dict[str, Tensor]:
    """By coefficient: even loads, and alike experts, the larger it is."""
    columns = {"untrained: similarity": seeds(0.0)}
    arms = [f"{w:g}" for w in COEFFICIENTS]
    for k, arm in enumerate([*arms, NO_LOSS]):
        found = {
            "max_over_mean": seeds(1 + 8 / (1 + k), 0.1),
            "similarity": seeds(0.1 + 0.05 * k),
            "bits": seeds(3.0 + 0.02 * abs(k - 3)),
        }
        if arm == NO_LOSS:
            found = {"max_over_mean": torch.ones(3), "similarity": seeds(0.12),
                     "bits": seeds(2.95)}  # fmt: skip
        columns |= {f"{arm}: {what}": v[:, None] for what, v in found.items()}
        columns[f"{arm}: dropped"] = seeds(0.3 / (1 + k), 1e-3)
    return columns
