"""Slips of published Switch layers, each beside a check that would have noticed.

A check is a question with one right answer. The slip's own formula (in `slip_formulas`)
and the library are both asked; the verdicts come from their answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from moe_lib.course import slip_formulas as formulas
from moe_lib.course.table import Table

Answer = Callable[[], float]
CAUGHT, MISSED = "caught", "not caught"
PASSES, FAILS = "passes", "fails"


@dataclass(frozen=True)
class Slip:
    """One slip and its check.

    Args:
        name: what is done. seen: where it was published.
        question: the input that shows it, and what is asked of the answer.
        right: the answer, or the lowest and the highest one.
        wrong, ours: what the slip and the library answer.
    """

    name: str
    seen: str
    question: str
    right: float | tuple[float, float]
    wrong: Answer
    ours: Answer

    def holds(self, answer: float) -> bool:
        """Whether an answer passes the check."""
        low, high = self.range
        return low <= answer <= high

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest right answer."""
        return self.right if isinstance(self.right, tuple) else (self.right,) * 2

    @property
    def answers(self) -> tuple[float, float]:
        """Of the slip and of the library, each with the same random numbers."""
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            wrong = self.wrong()
            torch.manual_seed(0)
            return wrong, self.ours()

    @property
    def verdicts(self) -> tuple[str, str]:
        """Of the slip and of the library."""
        wrong, ours = map(self.holds, self.answers)
        return MISSED if wrong else CAUGHT, PASSES if ours else FAILS


ANY = (1e-3, float("inf"))  # for a gradient that has to be there

SLIPS = (
    Slip(
        "positions from 1, compared with <",
        "the paper's printed code; keras-io",
        "4 tokens, all to A of 2 experts, capacity factor 1: how many are served?",
        2, formulas.from_one, lambda: formulas.served(0, 4, 2),
    ),
    Slip(
        "the capacity never holds: a cumulative sum over a dimension of size 1",
        "transformers #48293, repaired in #48421",
        "40 tokens, all to C of 4 experts, capacity factor 1: how many are served?",
        10, formulas.singleton_sum, lambda: formulas.served(2, 40, 4),
    ),
    Slip(
        "places counted in bfloat16",
        "Mesh TensorFlow; lucidrains/mixture-of-experts",
        "600 tokens to one expert with room for all: how many different places?",
        600, formulas.bf16_places, formulas.different_places,
    ),
    Slip(
        "logits ranked against the 0 of those not chosen",
        "DeepSpeed, topkgating (2025)",
        "2 tokens for each of 2 experts, 2 places each, all logits negative: served?",
        4, formulas.ranked_against_0, formulas.served_when_negative,
    ),
    Slip(
        "dropped tokens leak",
        "transformers #37017 (p x); labml (p LN(x))",
        "8 tokens to one expert with 2 places: the largest output of the other 6?",
        0, formulas.leaking, formulas.dropped_output,
    ),
    Slip(
        "the gate applied twice",
        "keras-io: the dispatch mask holds p, not 1",
        "weights p of 1/2: the output, in halves of the expert's answer?",
        (0.99, 1.01), formulas.gate_twice, formulas.gate_once,
    ),
    Slip(
        "a single weight is renormalised to 1",
        "minimind #858, repaired in #859",
        "7 tokens, 4 experts: the steepest slope of the logits?",
        ANY, formulas.renormalised_slope, formulas.slope,
    ),
    Slip(
        "logits and softmax in bfloat16",
        "megablocks",
        "a token of which B is best by 2⁻⁹: its expert (A is 0, B is 1)?",
        1, formulas.bf16_choice, formulas.choice,
    ),
    Slip(
        "the jitter is added to the logits",
        "the paper's printed code; fastmoe; keras-io",
        "one input, of which a factor scales all logits alike: how many of 400"
        " choices change?",
        0, formulas.added_jitter, formulas.changed_choices,
    ),
    Slip(
        "the loss counts after dropping: an emptied row's argmax is expert A",
        "transformers, Switch up to version 4",
        "64 tokens, all to D of 4 experts, 8 places: E Σ f P?",
        (3.99, 4), formulas.loss_after_dropping, formulas.loss_before_dropping,
    ),
    Slip(
        "the loss takes the softmax of probabilities",
        "transformers #45120, repaired in #45131",
        "8 tokens, all to A of 4 experts: E Σ f P?",
        (3.99, 4), formulas.softmax_of_softmax, formulas.loss_of_collapse,
    ),
)  # fmt: skip


def slips_off() -> int:
    """Slips that are not caught, and checks that the library does not pass."""
    return sum(slip.verdicts != (CAUGHT, PASSES) for slip in SLIPS)


def slips_table() -> Table:
    """A row for each slip; answers and verdicts are computed."""
    rows = []
    for slip in SLIPS:
        caught, passes = slip.verdicts
        wrong, ours = map(_short, slip.answers)
        rows.append([slip.name, slip.seen, slip.question, f"{wrong}: {caught}",
                     f"{ours}: {passes}"])  # fmt: skip
    head = ("slip", "seen in", "what shows it", "the slip answers", "moe_lib answers")
    noticed = sum(slip.verdicts == (CAUGHT, PASSES) for slip in SLIPS)
    text = f"published slips: {noticed} of {len(rows)} caught where moe_lib passes"
    return Table(head, rows, text)


def _short(answer: float) -> str:
    return f"{answer:.3g}"
