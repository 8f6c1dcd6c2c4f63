"""Exercise 05b.2: the reader's router enters the race."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from moe_lib.course.checking import SECONDS, Verdict
from moe_lib.course.checking.calling import Outcome, attempt, not_written
from moe_lib.course.contest import Jury, recorded
from moe_lib.course.exercises_05b import ENTER_RACE
from moe_lib.course.measurements import stored
from moe_lib.course.measurements_05b_race import CAUSAL, MARKS
from moe_lib.course.race_board import runs_board
from moe_lib.course.race_contract import arithmetic_fault, entry_fault
from moe_lib.course.race_runs import heldout_batch, load_judge
from moe_lib.course.race_setup import choosing
from moe_lib.course.switch_runs import SwitchRun, train_in_turns
from moe_lib.course.table import Table
from moe_lib.data.domain_text import DomainText
from moe_lib.language_modelling import AuxiliaryLosses
from moe_lib.layer import MoE

MakeRouter = Callable[[int, int], nn.Module]
Runs = Mapping[str, SwitchRun]
JURY = Jury(ENTER_RACE)


@dataclass(frozen=True, repr=False)
class Score:
    """The verdict on a router, and the board once it has run."""

    verdict: Verdict
    board: Table | None = None

    def __repr__(self) -> str:
        return repr(self.verdict)

    def _repr_html_(self) -> str:
        box = self.verdict._repr_html_()
        return box + self.board._repr_html_() if self.board else box


def enter_race(
    make_router: MakeRouter,
    runs: Runs,
    text: DomainText,
    *,
    each: float = 2,
    losses: AuxiliaryLosses | None = None,
    name: str = "yours",
    device: torch.device | str = "cpu",
) -> Score:
    """Train the reader's router as the others were, and put it among them.

    It gets the same weights, arithmetic, batches and steps.

    Args:
        make_router: ``(d_model, num_experts)`` -> router, such as a class.
        runs: a race of one seed, as `run_race` gives it of a `field`.
        text: what they learnt.
        each: experts of a token on average: 2 of 32 narrow ones, 1 of 16.
        losses: of a routing -> coefficient; None: the balancing loss of top-2.
        name: on the board.
        device: where to train, as the others were.

    Returns:
        What the cell shows. An entry that keeps to the rules passes, wherever it ends.

    Raises:
        ValueError: the name of another router.
    """
    if name in runs:
        raise ValueError(f"name={name!r} is in the race already: give another")
    setup = choosing(runs["Switch"].setup, "top-k", each)
    losses = setup.losses if losses is None else losses
    own = _written_by_reader(make_router)

    def make() -> nn.Module:
        return make_router(setup.d_model, setup.num_experts)

    def check() -> str:
        return entry_fault(make(), setup, losses)

    got = attempt(check, (), SECONDS)
    if not_written(check, got):
        return Score(JURY.not_written)
    if got.error or got.value:
        return Score(JURY.refused(got, own))
    seed = runs["Switch"].seed
    try:
        mine = train_in_turns(
            {name: setup}, text, seed, runs["Switch"].steps,
            judge=load_judge(text, setup.masked), make_routers={name: make},
            losses={name: losses}, device=device,
        )  # fmt: skip
        model, inputs = mine[name].model, heldout_batch(text, setup.masked)
        untaught = _untaught(router := _router(mine[name]))
        fault = entry_fault(router, setup, losses)
        if fault := fault or arithmetic_fault(model, inputs, setup):
            got = Outcome(f"once trained, {fault}", None, ())
            return Score(JURY.refused(got, own))
    except KeyboardInterrupt:
        told = "stopped by hand in training; run the cell again, the others' runs stay"
        return Score(recorded(JURY.fails(told)))
    except Exception as error:  # the reader's code may do anything
        return Score(JURY.refused(Outcome(None, error, ()), own))
    everybody = {**runs, name: mine[name]}
    told = place(everybody, name) + untaught
    return Score(recorded(JURY.passes(told)), runs_board(everybody, name))


def place(runs: Runs, name: str) -> str:
    """Where a run ended, and with whom it is level, as a clause."""
    bits = {other: run.bits[-1].item() for other, run in runs.items()}
    order = sorted(bits, key=bits.__getitem__)
    noise = usual_noise(runs[name].steps[-1])
    level = [
        other for other in order
        if other != name and abs(bits[other] - bits[name]) < noise
    ]  # fmt: skip
    told = f"place {order.index(name) + 1} of {len(order)}, {bits[name]:.3f} bits"
    if not level:
        return f"{told} per byte; clear of all others by {noise:.3f} or more"
    return (
        f"{told} per byte; level with {', '.join(level)} (gaps below {noise:.3f} come"
        " and go with the seed)"
    )


def usual_noise(steps: int) -> float:
    """Two standard deviations of the gap between two routers of one seed, in bits, as
    the stored race has them at its checkpoint next to ``steps``; the median of
    routers. Early on, seeds differ more."""
    mark = min(range(len(MARKS)), key=lambda c: abs(MARKS[c] - steps))
    columns = dict(stored(CAUSAL))
    spreads = [
        value[:, mark].std()
        for name, value in columns.items() if name.endswith(": bits")
    ]  # fmt: skip
    return 2 * math.sqrt(2) * torch.stack(spreads).median().item()


def _router(run: SwitchRun) -> nn.Module:
    return next(part for part in run.model.modules() if isinstance(part, MoE)).router


def _untaught(router: nn.Module) -> str:
    """What to say of weights that the last step gave no gradient; "" if all is well.

    Not a fault: a hash has them as well where it inherits `Router`'s gate.
    """
    weights = list(router.parameters())
    if not weights or any(weight.grad is not None for weight in weights):
        return ""
    return "; no gradient reached its weights, they are as they were drawn"


def _written_by_reader(make_router: MakeRouter) -> Callable:
    """A function whose globals are the reader's: a class has none, and what it
    inherits has the library's."""
    own = vars(make_router).values() if inspect.isclass(make_router) else ()
    return next(filter(inspect.isfunction, own), make_router)
