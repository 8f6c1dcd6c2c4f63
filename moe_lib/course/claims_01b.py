"""What the papers of 1994 and 2013 claim, to be judged by the runs of chapter 1b."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from moe_lib.course.claims import Claim
from moe_lib.course.em_race import ArmTable
from moe_lib.course.hard_gate_race import GateErrors
from moe_lib.course.table import Table
from moe_lib.course.where_and_what import WhereWhat

HME, ARM = "Jordan and Jacobs 1994", "Jordan and Jacobs 1994, robot arm"
DEEP, GATES = "Eigen et al. 2013", "Bengio et al. 2013 (1308.3432)"


def em_claims(changes: Tensor, arm: ArmTable) -> list[Claim]:
    """On EM.

    changes: differences of the log-likelihood from step to step. Passes are counted
    until half of the linear fit's error is gone.
    """
    half = (arm.linear / 2).item()
    tree, net = arm.tree, arm.nets[0]
    return [
        Claim.exact(
            "M1.em-rises", "an EM step never lowers the likelihood", HME, "proved",
            f"{changes.numel()} steps", bool((changes > -1e-9).all()),
        ),
        Claim.compare(
            "M1.em-passes", "EM needs far fewer passes over the data than BP"
            " (here: until half of the linear fit's error is gone)",
            ARM, "35 < 5500", tree.passes_to(half, falling=True),
            net.passes_to(half, falling=True), unit="passes",
        ),
        Claim.share(
            "M1.em-linear", "the tree has less than half of a linear fit's error",
            ARM, "relative error .10 and .31", tree.values[-1] < half,
        ),
        Claim.compare(
            "M1.em-ends", "BP ends a little lower than the tree",
            ARM, ".09 < .10", net.values[-1], tree.values[-1], digits=2,
        ),
    ]  # fmt: skip


def deep_claims(
    balanced: Sequence[WhereWhat], alone: Sequence[WhereWhat]
) -> list[Claim]:
    """On the deep mixture; ``alone`` are the runs without balancing."""
    return [
        Claim.compare(
            "M1.where", "the experts of layer 1 follow the class less than the place",
            f"{DEEP}, fig. 2", "shown", _column(balanced, "what", 0),
            _column(balanced, "where", 0), unit="nats", digits=2,
        ),
        Claim.compare(
            "M1.what", "the experts of layer 2 follow the place less than the class",
            f"{DEEP}, fig. 2", "shown", _column(balanced, "where", 1),
            _column(balanced, "what", 1), unit="nats", digits=2,
        ),
        Claim.share(
            "M1.winner", "without balancing a few experts take over (here: layer 2"
            " is left with one)", DEEP, "described",
            torch.tensor([run.used[1] == 1 for run in alone]),
        ),
        Claim.cited(
            "M1.deep-error", "on test data the mixture is no better than a plain"
            " network of its size", f"{DEEP}, jittered MNIST", "1.42 % and 1.30 %",
            "1,797 digits are too few to tell",
        ),
    ]  # fmt: skip


def gate_claims(errors: GateErrors, trained: Mapping[str, Tensor]) -> list[Claim]:
    """On the gradients of a hard gate; ``trained`` as from `train_hard_gates`."""
    through, reinforce = (
        trained[name][-1] for name in ("straight-through", "REINFORCE, baseline")
    )
    return [
        Claim.share(
            "M1.unbiased", "REINFORCE is right on average (here: off by less than a"
            " tenth of the gradient)", GATES, "proved", errors.bias["REINFORCE"] < 0.1,
        ),
        Claim.compare(
            "M1.straight", "the straight-through estimator trains the better gate",
            GATES, "best in their experiment", through, reinforce, digits=3,
        ),
    ]  # fmt: skip


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
