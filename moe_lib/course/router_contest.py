"""Exercise 02.4: a router that beats table 6's balance at equal perplexity.

The reader's router and the reference, noisy top-k with both losses at 0.1, learn from
the same bytes for equally many steps with the same seeds; the verdict compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from torch import nn

from moe_lib.course.byte_runs import ByteRun, train_bytes
from moe_lib.course.byte_setup import Setup
from moe_lib.course.checking import SECONDS, Verdict
from moe_lib.course.checking.calling import Outcome, attempt, not_written
from moe_lib.course.contest import Jury, recorded
from moe_lib.course.evidence import FAILS as HIGHER
from moe_lib.course.evidence import HOLDS as LOWER
from moe_lib.course.evidence import Below
from moe_lib.course.exercises_02 import BEAT_TABLE_6
from moe_lib.course.router_contract import contract_fault
from moe_lib.course.table import Table
from moe_lib.data.domain_text import DomainText
from moe_lib.data.text import load_text
from moe_lib.language_modelling import AuxiliaryLosses
from moe_lib.layer import MoE
from moe_lib.losses import importance_loss, load_loss
from moe_lib.routers import NoisyTopKRouter

#: What both are trained with.
CONTEST = Setup(
    num_experts=16, top_k=4, d_model=64, d_ff=64, steps=120, tokens=1024, lr=0.02
)
SEEDS = (0, 1, 2)
REFERENCE_LOSSES = {importance_loss: 0.1, load_loss: 0.1}
#: Attribute of a run -> its name; the balance is judged by the last two.
COLUMNS = {
    "perplexity": "perplexity per byte",
    "cv_importance": "CV(importance)",
    "cv_load": "CV(load)",
    "max_over_mean": "max / mean load",
}
BALANCE = ("cv_load", "max_over_mean")
JURY = Jury(BEAT_TABLE_6)
Values = Mapping[str, Sequence[float]]


@dataclass(frozen=True, repr=False)
class Score:
    """The verdict on a router, and the four columns of both, where it was trained."""

    verdict: Verdict
    compared: Mapping[str, Below] | None = None

    @property
    def rows(self) -> list[list[str]]:
        if self.compared is None:
            return []
        sides = zip(*(b.sides for b in self.compared.values()), strict=True)
        return [
            [name, *(f"{s.mean:.3f} ± {s.two_se:.3f}" for s in side)]
            for name, side in zip(("yours", "reference"), sides, strict=True)
        ]

    def __repr__(self) -> str:
        lines = [repr(self.verdict)]
        for name, *cells in self.rows:
            told = zip(COLUMNS.values(), cells, strict=True)
            lines.append(f"    {name}: {', '.join(f'{n} {c}' for n, c in told)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        box = self.verdict._repr_html_()
        if not self.rows:
            return box
        return box + Table(["", *COLUMNS.values()], self.rows, "")._repr_html_()


def score_router(
    make_router: Callable[[], nn.Module] | None = None,
    losses: AuxiliaryLosses | None = None,
    *,
    text: DomainText | None = None,
    setup: Setup = CONTEST,
    seeds: Sequence[int] = SEEDS,
) -> Score:
    """Train the reader's router and the reference; compare balance and perplexity.

    Measured on held-out bytes, without noise. The reference is trained once.

    Args:
        make_router: builds a new router at each call; None: the reference's.
        losses: loss of a routing -> coefficient; None: the reference's.
        text: the bytes to learn; None: `load_text`'s.

    Returns:
        What the cell shows. Beating the reference is recorded like an exercise.
    """
    own = make_router or next(iter(losses or ()), None)  # code of the reader's
    make_router = make_router or _reference_router(setup)
    losses = REFERENCE_LOSSES if losses is None else losses
    got = attempt(make_router, (), SECONDS)
    if not got.error and not not_written(make_router, got):
        router = got.value
        got = attempt(lambda: contract_fault(router, losses, setup), (), SECONDS)
    if not_written(make_router, got):
        return Score(JURY.not_written)
    if got.error or got.value:
        return Score(JURY.refused(got, own))
    text = load_text() if text is None else text
    try:
        yours = [_run(setup, text, s, make_router, losses, "yours") for s in seeds]
        faults = [contract_fault(_router(run), losses, setup) for run in yours]
        if fault := next(filter(None, faults), ""):
            got = Outcome(f"once trained, {fault}", None, ())
            return Score(JURY.refused(got, own))
        reference = _reference(setup, text, tuple(seeds))
    except (Exception, KeyboardInterrupt) as error:  # the reader's code may do anything
        return Score(JURY.refused(Outcome(None, error, ()), own))
    compared = compare(_columns(yours), reference)
    return Score(recorded(judge(compared)), compared)


def compare(yours: Values, reference: Values) -> dict[str, Below]:
    """For each column: does the reader's lie below the reference's?"""
    return {name: Below(yours[name], reference[name], digits=3) for name in COLUMNS}


def judge(compared: Mapping[str, Below]) -> Verdict:
    """The verdict: balance first, then perplexity, each within two standard errors."""

    def against(name: str) -> str:
        mine, theirs = (f"{side.mean:.3f}" for side in compared[name].sides)
        return f"{COLUMNS[name]} {mine} against {theirs}"

    uneven = [name for name in BALANCE if compared[name].verdict == HIGHER]
    better = [name for name in BALANCE if compared[name].verdict == LOWER]
    perplexity = compared["perplexity"]
    if uneven:
        return JURY.fails(f"not balanced: {', '.join(map(against, uneven))}")
    if perplexity.verdict == HIGHER:
        by = f"{-perplexity.gap:.3f} ± {perplexity.two_se:.3f}"
        return JURY.fails(f"balanced, but perplexity is worse by {by}")
    if not better:
        return JURY.fails("same balance, within two standard errors")
    told = ", ".join(map(against, better))
    return JURY.passes(f"beats the reference: {told}, at no worse perplexity")


def _router(run: ByteRun) -> nn.Module:
    return next(m for m in run.model.modules() if isinstance(m, MoE)).router


def _columns(runs: Sequence[ByteRun]) -> dict[str, list[float]]:
    return {name: [getattr(run, name) for run in runs] for name in COLUMNS}


def _reference_router(setup: Setup) -> Callable[[], nn.Module]:
    return lambda: NoisyTopKRouter(setup.d_model, setup.num_experts, top_k=setup.top_k)


@lru_cache(maxsize=4)
def _reference(
    setup: Setup, text: DomainText, seeds: tuple[int, ...]
) -> dict[str, list[float]]:
    others = (_reference_router(setup), REFERENCE_LOSSES, "reference")
    return _columns([_run(setup, text, seed, *others) for seed in seeds])


def _run(
    setup: Setup,
    text: DomainText,
    seed: int,
    make_router: Callable[[], nn.Module],
    losses: AuxiliaryLosses,
    name: str,
) -> ByteRun:
    options = {"make_router": make_router, "losses": losses}
    return train_bytes(setup, text, seed, label=f"{name}, seed {seed}", **options)
