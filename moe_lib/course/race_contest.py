"""Exercise 05b.2: the reader's router enters the race."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from moe_lib.course import progress_file
from moe_lib.course.checking import FAILS, NOT_WRITTEN, PASSES, SECONDS, Verdict
from moe_lib.course.checking.calling import Outcome, attempt, not_written
from moe_lib.course.checking.readers_line import readers_line
from moe_lib.course.exercises_05b import ENTER_RACE
from moe_lib.course.measurements import stored
from moe_lib.course.race_board import runs_board
from moe_lib.course.race_contract import entry_fault
from moe_lib.course.race_runs import load_judge
from moe_lib.course.race_setup import choosing
from moe_lib.course.switch_runs import SwitchRun, train_in_turns
from moe_lib.course.table import Table
from moe_lib.data.domain_text import DomainText
from moe_lib.language_modelling import AuxiliaryLosses
from moe_lib.layer import MoE

MakeRouter = Callable[[int, int], nn.Module]
Runs = Mapping[str, SwitchRun]


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

    Returns:
        What the cell shows. An entry that keeps to the rules passes, wherever it ends.

    Raises:
        ValueError: the name of another router.
    """
    if name in runs:
        raise ValueError(f"name={name!r} is in the race already: give another")
    setup = choosing(runs["Switch"].setup, "top-k", each)
    losses = setup.losses if losses is None else losses

    def make() -> nn.Module:
        return make_router(setup.d_model, setup.num_experts)

    def check() -> str:
        return entry_fault(make(), setup, losses)

    got = attempt(check, (), SECONDS)
    if not_written(check, got):
        return Score(_verdict(NOT_WRITTEN, ENTER_RACE.title))
    if got.error or got.value:
        return _refused(got, make_router)
    seed = runs["Switch"].seed
    try:
        mine = train_in_turns(
            {name: setup}, text, seed, runs["Switch"].steps,
            judge=load_judge(text, setup.masked), make_routers={name: make},
            losses={name: losses},
        )  # fmt: skip
        fault = entry_fault(_router(mine[name]), setup, losses, trained=True)
        if fault:
            return _refused(Outcome(f"once trained, {fault}", None, ()), make_router)
    except (Exception, KeyboardInterrupt) as error:  # the reader's code may do anything
        return _refused(Outcome(None, error, ()), make_router)
    everybody = {**runs, name: mine[name]}
    verdict = _recorded(_verdict(PASSES, place(everybody, name)))
    return Score(verdict, runs_board(everybody, name))


def place(runs: Runs, name: str) -> str:
    """Where a run ended, and with whom it is level, as a clause."""
    bits = {other: run.bits[-1].item() for other, run in runs.items()}
    order = sorted(bits, key=bits.__getitem__)
    noise = usual_noise()
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


def usual_noise() -> float:
    """Two standard deviations of the gap between two routers of one seed, in bits, as
    the stored race has them at its first checkpoint; the median of routers."""
    columns = dict(stored("05b-race-causal"))
    spreads = [
        value[:, 0].std() for name, value in columns.items() if name.endswith(": bits")
    ]
    return 2 * math.sqrt(2) * torch.stack(spreads).median().item()


def _router(run: SwitchRun) -> nn.Module:
    return next(part for part in run.model.modules() if isinstance(part, MoE)).router


def _verdict(state: str, message: str) -> Verdict:
    return Verdict(ENTER_RACE.id, state, message, helps=False)


def _refused(got: Outcome, make_router: MakeRouter) -> Score:
    if got.error is None:
        return Score(_recorded(_verdict(FAILS, f"refused: {got.value}")))
    verdict = _verdict(FAILS, f"refused: {got.problem(SECONDS)}")
    own = getattr(make_router, "table", make_router)  # a class has no lines of its own
    return Score(_recorded(replace(verdict, line=readers_line(got.error, own))))


def _recorded(verdict: Verdict) -> Verdict:
    return replace(verdict, note=progress_file.record(verdict))
