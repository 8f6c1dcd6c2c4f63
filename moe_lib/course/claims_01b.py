"""What the papers of 1994 and 2013 claim, to be judged by the runs of chapter 1b."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from moe_lib.course import measurements_01b as long
from moe_lib.course.claims import Claim, with_origin
from moe_lib.course.columns import Columns
from moe_lib.course.em_race import ArmTable
from moe_lib.course.evidence import Below, Cited, Exact, Share
from moe_lib.course.hard_gate_race import GateErrors
from moe_lib.course.measurements import stored
from moe_lib.course.measurements_01b import arm_columns, deep_columns, gate_columns
from moe_lib.course.table import Table
from moe_lib.course.where_and_what import WhereWhat

HME, ARM = "Jordan and Jacobs 1994", "Jordan and Jacobs 1994, robot arm"
DEEP, GATES = "Eigen et al. 2013", "Bengio et al. 2013 (1308.3432)"


def em_claims(changes: Tensor, arm: ArmTable) -> list[Claim]:
    """On EM; ``changes`` are differences of the log-likelihood from step to step."""
    worst = (-changes).clamp(min=0).max().item()
    rises = Exact(worst, changes.numel(), "steps", 1e-9)
    return [
        Claim(
            "M1.em-rises", "an EM step never lowers the likelihood", HME, "proved",
            rises,
        ),
        *_arm_claims(arm_columns(arm)),
    ]  # fmt: skip


def _arm_claims(arm: Columns) -> list[Claim]:
    return [
        Claim(
            "M1.em-passes", "EM needs far fewer passes over the data than BP"
            " (here: until half of the linear fit's error is gone)",
            ARM, "35 < 5500",
            Below(arm["tree: passes"], arm["BP: passes"], "passes"),
        ),
        Claim(
            "M1.em-linear", "the tree has less than half of a linear fit's error",
            ARM, "relative error .10 and .31",
            Share(arm["tree: error"] < arm["linear: error"] / 2),
        ),
        Claim(
            "M1.em-ends", "BP ends a little lower than the tree",
            ARM, ".09 < .10", Below(arm["BP: error"], arm["tree: error"], digits=3),
        ),
    ]  # fmt: skip


def deep_claims(
    balanced: Sequence[WhereWhat], alone: Sequence[WhereWhat]
) -> list[Claim]:
    """On the deep mixture; ``alone`` are the runs without balancing."""
    return [
        *_deep_claims(deep_columns(balanced, alone)),
        Claim(
            "M1.deep-error", "on test data the mixture is no better than a plain"
            " network of its size", f"{DEEP}, jittered MNIST", "1.42 % and 1.30 %",
            Cited("1,797 digits are too few to tell"),
        ),
    ]  # fmt: skip


def _deep_claims(deep: Columns) -> list[Claim]:
    return [
        Claim(
            "M1.where", "the experts of layer 1 follow the class less than the place",
            f"{DEEP}, fig. 2", "shown",
            Below(deep["layer 1: what"], deep["layer 1: where"], "nats", digits=2),
        ),
        Claim(
            "M1.what", "the experts of layer 2 follow the place less than the class",
            f"{DEEP}, fig. 2", "shown",
            Below(deep["layer 2: where"], deep["layer 2: what"], "nats", digits=2),
        ),
        Claim(
            "M1.winner", "without balancing a few experts take over (here: layer 2"
            " is left with one)", DEEP, "described",
            Share(deep["unbalanced: used"] == 1),
        ),
    ]  # fmt: skip


def gate_claims(errors: GateErrors, trained: Mapping[str, Tensor]) -> list[Claim]:
    """On the gradients of a hard gate; ``trained`` as from `train_hard_gates`."""
    return _gate_claims(gate_columns(errors, trained))


def _gate_claims(gates: Columns) -> list[Claim]:
    through, reinforce = (
        gates[f"{name}: loss"] for name in ("straight-through", "REINFORCE, baseline")
    )
    return [
        Claim(
            "M1.unbiased", "REINFORCE is right on average (here: off by less than a"
            " tenth of the gradient)", GATES, "proved",
            Share(gates["REINFORCE: bias"] < 0.1),
        ),
        Claim(
            "M1.straight", "the straight-through estimator trains the better gate",
            GATES, "best in their experiment",
            Below(through, reinforce, digits=4),
        ),
    ]  # fmt: skip


def stored_claims() -> list[Claim]:
    """All of the above that are measured over seeds, from the long measurements.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    judged = (
        (long.ARM, _arm_claims),
        (long.DEEP, _deep_claims),
        (long.GATES, _gate_claims),
    )
    return [
        claim
        for measurement, claims in judged
        for result in [stored(measurement)]
        for claim in with_origin(result, claims(result))
    ]


def price_table(runs: Mapping[str, Sequence[WhereWhat]]) -> Table:
    """Experts in use and test error, a row for each way to train."""
    rows = []
    for name, results in runs.items():
        error = 100 * _column(results, "error")
        used = [_column(results, "used", layer).mean().item() for layer in (0, 1)]
        rows.append((name, *(f"{u:.1f} of 4" for u in used),
                     f"{error.mean():.1f} ± {error.std():.1f} %"))  # fmt: skip
    head = ("", "experts used, layer 1", "experts used, layer 2", "test error")
    return Table(head, rows, f"experts used and test error: {', '.join(runs)}")


def _column(runs: Sequence[WhereWhat], name: str, layer: int | None = None) -> Tensor:
    values = [getattr(run, name) for run in runs]
    return torch.tensor([v if layer is None else v[layer] for v in values]).double()
