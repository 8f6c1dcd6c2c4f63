"""What the tests of this folder write: a training run, a measurement, a result."""

import time

import torch

from moe_lib.course import progress_file
from moe_lib.course.checking import FAILS, PASSES, Verdict
from moe_lib.course.leaderboard import Result
from moe_lib.course.stored_results import Measurement
from moe_lib.training import Trainer


def trainer(width=3, optimizer=torch.optim.Adam, schedule=False):
    torch.manual_seed(1)
    model = torch.nn.Sequential(
        torch.nn.Linear(width, 400), torch.nn.Linear(400, 2)
    )  # fmt: skip

    def objective(model, generator):
        return model(torch.randn(4, width, generator=generator)).square().mean()

    rule = optimizer(model.parameters(), lr=0.01)
    plan = torch.optim.lr_scheduler.StepLR(rule, 5) if schedule else None
    return Trainer(model, objective, rule, scheduler=plan)


def numbers(config, seeds):
    time.sleep(config["pause"])
    draw = torch.Generator().manual_seed(seeds[0])
    return {"x": torch.rand(len(seeds), generator=draw)}


def measurement(pause=0.0, seeds=12):
    config = {"version": 1, "pause": pause}
    return Measurement("99-tiny", "tiny", config, range(seeds), 1, numbers)


def result(bits=2.5):
    return Result(bits, 10, 60.0, 1e5, 1000)


def record(id="01.4", passed=True, words="wrong"):
    return progress_file.record(Verdict(id, PASSES if passed else FAILS, words))
