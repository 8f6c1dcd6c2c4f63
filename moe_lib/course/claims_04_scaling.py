"""What Fedus et al. (2021) say of experts at equal arithmetic, and of their table 1."""

from __future__ import annotations

import torch
from torch import Tensor

from moe_lib.course.claims import Claim, with_origin
from moe_lib.course.evidence import BITS, Below, Cited, Exact
from moe_lib.course.measurements import stored
from moe_lib.course.measurements_04_scaling import SCALING, arms
from moe_lib.course.scaling_ladder import Ladder, ladder_of
from moe_lib.course.switch_setup import Setup

PAPER = "Fedus et al. 2021"
TABLE_1 = f"{PAPER}, table 1"
MORE = 1.05  # times a mixture's FLOPs: so much the dense model may have at most


def arithmetic_claim() -> Claim:
    """By accounting, for the arms of the stored measurement."""
    setups = arms(Setup(**SCALING.config["base"]), SCALING.config["dense_rates"])
    dense = [one.flops for name, one in setups.items() if name.startswith("dense")]
    mixtures = [one.flops for one in setups.values() if one.router == "switch"]
    wrong = sum(not m <= d <= MORE * m for d in dense for m in mixtures)
    return Claim(
        "M4.equal-arithmetic", "whatever the number of experts, a Switch model computes"
        " for a token what the dense one does (here: no more, routers included, and at"
        " most 5 % less)", f"{PAPER}, section 2.1", "stated",
        Exact(float(wrong), len(dense) * len(mixtures), "pairs of models"),
    )  # fmt: skip


def ladder_claims(ladder: Ladder) -> list[Claim]:
    """Experts 1 to 32 after equal steps; the 7x in small, in steps and in time.

    The dense model counts at its best learning rate; the mixtures were not tuned.
    """
    ends = {arm: ladder.bits(arm)[:, -1] for arm in ladder.rungs.values()}
    below, claims = ladder.level, []
    for experts, arm in ladder.rungs.items():
        less = "no experts" if experts == 2 else f"{experts // 2}"
        claims.append(Claim(
            f"M4.experts-{experts}", f"{experts} experts learn more from as many tokens"
            f" than {less}", f"{PAPER}, figure 4",
            "monotone from 2 to 256 experts, same steps",
            Below(ends[arm], below, BITS, 3),
        ))  # fmt: skip
        below = ends[arm]
    few = [ends[ladder.rungs[e]] for e in (2, 4, 8)]
    mixture, large = ladder.standard, ladder.best("large")
    steps, time = (ladder.speed_up(mixture, what) for what in ("steps", "seconds"))
    fast, slow = ladder.at_equal_time(mixture, large)
    experts = ladder.setups[mixture].num_experts
    return [
        *claims,
        Claim(
            "M4.small", "two, four or eight experts are enough to beat the dense model"
            " (here: the worst of the three)", f"{PAPER}, appendix D", "stated",
            Below(torch.stack(few).amax(dim=0), ladder.level, BITS, 3),
        ),
        Claim(
            "M4.steps", "a Switch model is where the dense one ends after a fraction of"
            f" its steps (here: {experts} experts, steps saved by, against 1)",
            f"{PAPER}, figure 4", "7.5 times fewer, with 64 experts",
            Below(_once(steps), steps, "times", 2),
        ),
        Claim(
            "M4.time", "and after a fraction of its time (here: processor time, of one"
            f" thread, {experts} experts)", f"{PAPER}, figure 5",
            "a seventh, on 32 cores of TPU v3", Below(_once(time), time, "times", 2),
        ),
        Claim(
            "M4.large", "a larger dense model does not catch up (here: 3.3 times the"
            f" arithmetic against {experts} experts, in as much time of one thread)",
            f"{PAPER}, figure 6", "2.5 times sooner than T5-Large, 3.5 times the FLOPs",
            Below(fast, slow, BITS, 3),
        ),
    ]  # fmt: skip


def table_1_claims(ladder: Ladder) -> list[Claim]:
    """Switch against top-2 at three capacity factors, all with 16 experts."""
    switch, top_2 = (
        {factor: ladder.row(router, factor) for factor in (2, 1.25, 1)}
        for router in ("switch", "top-2")
    )
    ends = {arm: ladder.bits(arm)[:, -1] for arm in (*switch.values(), *top_2.values())}
    sooner = {
        arm: ladder.speed_up(arm, "seconds")
        for arm in (*switch.values(), ladder.best("large"))
    }
    faster = torch.stack([
        ladder.bytes_per_second(switch[f]) / ladder.bytes_per_second(top_2[f])
        for f in switch
    ]).amin(dim=0)  # fmt: skip
    usual = switch[1.25]
    return [
        Claim(
            "M4.top-1-faster", "at the same capacity factor Switch reads more examples"
            " a second than top-2 (here: bytes, one thread, the smallest of three"
            " ratios)", TABLE_1,
            "860 > 840, 910 > 790, 1,000 > 860",
            Below(_once(faster), faster, "times", 2),
        ),
        Claim(
            "M4.top-2-roomy", "with much room two experts learn more from as many"
            " tokens (capacity factor 2)", TABLE_1, "\u22121.547 > \u22121.554",
            Below(ends[top_2[2]], ends[switch[2]], BITS, 3),
        ),
        Claim(
            "M4.top-1-low-capacity-1.25", "with little room one expert does (capacity"
            " factor 1.25)", TABLE_1, "\u22121.553 > \u22121.559",
            Below(ends[usual], ends[top_2[1.25]], BITS, 3),
        ),
        Claim(
            "M4.top-1-low-capacity-1", "and with less (capacity factor 1)", TABLE_1,
            "\u22121.561 > \u22121.572",
            Below(ends[switch[1]], ends[top_2[1]], BITS, 3),
        ),
        Claim(
            "M4.lower-capacity-time", "the smallest buffers are the quickest way to the"
            " threshold (here: the dense model's last loss; time of one thread saved"
            " at factors 2 and 1)", TABLE_1, "62.8 < 72.8 hours",
            Below(sooner[switch[2]], sooner[switch[1]], "times", 2),
        ),
        Claim(
            "M4.large-row", "Switch is at the threshold before a larger dense model"
            " (here: time of one thread saved against the dense one, large and"
            " Switch at factor 1.25)", TABLE_1, "65.0 < 131.1 hours",
            Below(sooner[ladder.best("large")], sooner[usual], "times", 2),
        ),
    ]  # fmt: skip


def _once(values: Tensor) -> Tensor:
    """One for each of the values: what nothing saved would be."""
    return torch.ones_like(values)


def cited_claims() -> list[Claim]:
    """What no laptop can repeat."""

    def cited(name: str, text: str, where: str, value: str, reason: str) -> Claim:
        return Claim(f"M4.{name}", text, f"{PAPER}, {where}", value, Cited(reason))

    return [
        cited("t5-xxl", "a Switch model of 395 or 1,571 billion parameters is sooner"
              " where T5-XXL ends", "abstract", "4 times",
              "needs a model of 11 billion parameters to compare with"),
        cited("trillion", "a model of 1.6 trillion parameters trains without"
              " instability", "section 5.6", "1,571 billion, 2,048 experts",
              "its weights alone are terabytes"),
        cited("mt5", "Switch learns every one of 101 languages better than mT5",
              "section 4.3", "101 of 101, 5 times fewer steps on average",
              "needs the 101 languages of mC4"),
        cited("distillation", "a dense model keeps part of what the experts gained",
              "table 6", "29 % of the teacher's gain",
              "needs a trained teacher of 3.8 billion parameters"),
        cited("superglue", "the gain survives fine-tuning", "table 5",
              "SuperGLUE 75.1 to 79.5 (base), 82.7 to 84.7 (large)",
              "needs models trained on C4 and the tasks of SuperGLUE"),
    ]  # fmt: skip


def stored_claims() -> list[Claim]:
    """From the long measurement.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    result = stored(SCALING)
    ladder = ladder_of(result)
    measured = [*ladder_claims(ladder), *table_1_claims(ladder)]
    return with_origin(result, measured)
