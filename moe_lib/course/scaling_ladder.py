"""Models of one width and more and more experts: what is known of them, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor

from moe_lib.accounting.memory import Memory, training_memory
from moe_lib.checks import require_choice
from moe_lib.course.checkpoints import arms_of, first_reached, interpolated
from moe_lib.course.columns import Columns
from moe_lib.course.measurements import stored
from moe_lib.course.measurements_04_scaling import SCALING, arms, run_columns
from moe_lib.course.switch_runs import SwitchRun
from moe_lib.course.switch_setup import Setup

KINDS = ("dense", "large", "switch", "top-2")


@dataclass(frozen=True, eq=False)
class Ladder:
    """Arms that were trained side by side, judged at the same C steps.

    Args:
        columns: "arm: bits" and "arm: seconds", ``[S, C]``; "arm: dropped" of mixtures.
        setups: arm -> its setup, of all arms in the columns.
        steps: of the checkpoints.

    Names tell arms apart: "dense" and "large" are those with arithmetic alone, the
    others mixtures; what was tried at several learning rates ends in " at RATE".

    Raises:
        ValueError: no dense arm, so nothing to compare with.
    """

    columns: Columns
    setups: Mapping[str, Setup]
    steps: Sequence[int]

    def __post_init__(self) -> None:
        if self.best("dense") is None:
            raise ValueError(
                f"no dense arm in {', '.join(arms_of(self.columns)) or 'no columns'}:"
                " train one, as_much_arithmetic(setup)"
            )

    def best(self, kind: str) -> str | None:
        """Of "dense" or "large" the arm whose last loss is lowest, None without one."""
        mine = [name for name in arms_of(self.columns) if name.split(" at ")[0] == kind]
        return min(mine, key=lambda name: self.bits(name)[:, -1].mean(), default=None)

    @cached_property
    def dense(self) -> str:
        """The dense arm at its best learning rate."""
        return self.best("dense")

    @cached_property
    def rungs(self) -> dict[int, str]:
        """Experts -> the mixture with so many, one a byte, at the usual capacity."""
        usual = (name for name in arms_of(self.columns) if "," not in name)
        mixtures = (name for name in usual if " at " not in name)
        found = {
            self.setups[name].num_experts: name
            for name in mixtures
            if name.startswith("switch")
        }
        return dict(sorted(found.items()))

    @cached_property
    def standard(self) -> str:
        """The mixture that the chapter trains, or the largest one."""
        return self.rungs.get(Setup().num_experts, [*self.rungs.values()][-1])

    def row(self, router: str, factor: float) -> str | None:
        """The arm of table 1 with 16 experts, a router and a capacity factor."""
        require_choice("router", router, KINDS[2:])
        for name in arms_of(self.columns):
            setup = self.setups[name]
            wanted = (router, factor, self.setups[self.standard].num_experts)
            found = (setup.router, setup.capacity_factor, setup.num_experts)
            if found == wanted and " at " not in name:
                return name
        return None

    def bits(self, arm: str) -> Tensor:
        """``[S, C]``, bits per byte of held-out text."""
        return self.columns[f"{arm}: bits"]

    def seconds(self, arm: str) -> Tensor:
        """``[S, C]``, processor time of the training so far."""
        return self.columns[f"{arm}: seconds"]

    def along(self, arm: str, what: str) -> Tensor:
        """``[S, C]``: "steps" or "seconds" at the checkpoints."""
        if require_choice("what", what, ("steps", "seconds")) == "seconds":
            return self.seconds(arm)
        return torch.tensor(self.steps).to(self.bits(arm)).expand_as(self.bits(arm))

    @property
    def level(self) -> Tensor:
        """``[S]``: the loss that the dense arm ends with. All are timed to it."""
        return self.bits(self.dense)[:, -1]

    def reached(self, arm: str, what: str) -> Tensor:
        """``[S]``: steps or seconds to the level; infinity if never."""
        return first_reached(self.bits(arm), self.level, self.along(arm, what))

    def speed_up(self, arm: str, what: str) -> Tensor:
        """``[S]``: dense's steps or seconds to the level over the arm's; 0 if never."""
        return self.reached(self.dense, what) / self.reached(arm, what)

    def at_equal_time(self, one: str, other: str) -> tuple[Tensor, Tensor]:
        """Both arms' bits ``[S]`` when the quicker of the two is done."""
        taken = [self.seconds(arm) for arm in (one, other)]
        when = torch.minimum(taken[0][:, -1], taken[1][:, -1])
        a, b = (
            interpolated(seconds, self.bits(arm), when)
            for arm, seconds in zip((one, other), taken, strict=True)
        )
        return a, b

    def bytes_per_second(self, arm: str) -> Tensor:
        """``[S]``: bytes of training text for a second of processor time."""
        return self.steps[-1] * self.setups[arm].tokens / self.seconds(arm)[:, -1]

    def parameters(self, arm: str) -> int:
        """Of the whole model."""
        return _parameters(self.setups[arm])

    def memory(self, arm: str) -> Memory:
        """Of a training step with Adam, by accounting."""
        setup = self.setups[arm]
        activations = setup.sizes.activation_bytes(setup.tokens)
        return training_memory(self.parameters(arm), activations, torch.float32, "adam")


@cache
def _parameters(setup: Setup) -> int:
    """Counted in a model that is built without memory for its weights."""
    with torch.device("meta"):
        return sum(weight.numel() for weight in setup.build().parameters())


def ladder_of(columns: Columns) -> Ladder:
    """Of the stored measurement's columns, or of some made up in their shape."""
    config = SCALING.config
    setups = arms(Setup(**config["base"]), config["dense_rates"])
    return Ladder(columns, setups, tuple(config["checkpoints"]))


def stored_ladder() -> Ladder:
    """What was measured, three seeds of each arm.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    return ladder_of(stored(SCALING))


def ladder_of_runs(runs: Mapping[str, SwitchRun]) -> Ladder:
    """Of one's own runs with one seed; "dense" and "switch" are among their names."""
    columns = {name: values[None] for name, values in run_columns(runs).items()}
    setups = {name: run.setup for name, run in runs.items()}
    return Ladder(columns, setups, next(iter(runs.values())).steps)
