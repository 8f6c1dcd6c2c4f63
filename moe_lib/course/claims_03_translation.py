"""What Lepikhin et al. (2020) say of experts and depth, on small translators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from moe_lib.course import measurements_03_translation as long
from moe_lib.course.claims import Claim, with_origin
from moe_lib.course.columns import Columns
from moe_lib.course.evidence import Below, Exact
from moe_lib.course.measurements import stored
from moe_lib.course.measurements_03_translation import (
    at_equal_time,
    at_the_end,
    gaps,
)
from moe_lib.course.translation_setup import Setup, arms

PAPER = "Lepikhin et al. 2020"
UNIT = "nats/character"


def surplus(base: Setup, vocabulary: int, length: int) -> int:
    """FLOPs of a pair in the mixture, routers included, beyond the dense model's."""
    setups = arms(base)
    return setups["experts"].flops(vocabulary, length) - setups["dense"].flops(
        vocabulary, length
    )


def arithmetic_claim(
    base: Setup, vocabulary: int, lengths: Sequence[int] = range(1, 51)
) -> Claim:
    """By accounting, for phrases of every length."""
    over = sum(surplus(base, vocabulary, length) > 0 for length in lengths)
    return Claim(
        "M3.translate-arithmetic", "the translator with experts multiplies no more than"
        " the dense one (routers included)", f"{PAPER}, section 2.1",
        "conditional computation", Exact(float(over), len(lengths), "lengths"),
    )  # fmt: skip


def short_claims(columns: Columns) -> list[Claim]:
    """On ten languages and some minutes: three arms, "deep" among them."""
    nats = {
        part: at_the_end(columns, f"nats, {part}") for part in ("all", *long.GROUPS)
    }
    timed = at_equal_time(columns, "nats, all")
    low_timed = at_equal_time(columns, "nats, low")
    low, high = nats["low"], nats["high"]
    return [
        Claim(
            "M3.translate-steps", "with more experts a translator learns more from as"
            " many tokens (here: experts against dense, ten languages)",
            f"{PAPER}, table 2", "141 < 995 billion tokens to a loss of 0.7",
            Below(nats["all"]["experts"], nats["all"]["dense"], UNIT, 3),
        ),
        Claim(
            "M3.translate-time", "and more in as much time", f"{PAPER}, table 3",
            "22 against 235 core-years, and better",
            Below(timed["experts"], timed["dense"], UNIT, 3),
        ),
        Claim(
            "M3.translate-high", "experts help the languages with much data",
            f"{PAPER}, figure 6", "stated",
            Below(high["experts"], high["dense"], UNIT, 3),
        ),
        Claim(
            "M3.translate-low", "depth helps the languages with little data (here:"
            " twice the layers, and so twice the arithmetic)", f"{PAPER}, figure 6",
            "stated", Below(low["deep"], low["dense"], UNIT, 3),
        ),
        Claim(
            "M3.translate-deep-time", "but depth costs time (here: twice the layers"
            " against dense, languages with little data, in as much time)",
            f"{PAPER}, table 3", "235 core-years for 96 layers",
            Below(low_timed["dense"], low_timed["deep"], UNIT, 3),
        ),
        Claim(
            "M3.translate-split-experts", "it is the languages with much data that"
            " experts help most (here: nats saved, little data against much)",
            f"{PAPER}, figure 6", "stated",
            Below(_saved(low, "experts"), _saved(high, "experts"), UNIT, 3),
        ),
        Claim(
            "M3.translate-split-depth", "and those with little data that depth helps"
            " most (here: nats saved, much data against little)", f"{PAPER}, figure 6",
            "stated", Below(_saved(high, "deep"), _saved(low, "deep"), UNIT, 3),
        ),
    ]  # fmt: skip


def _saved(nats: Mapping[str, Tensor], arm: str) -> Tensor:
    """``[S]``: nats per character that an arm saves against dense."""
    return nats["dense"] - nats[arm]


def long_claims(columns: Columns) -> list[Claim]:
    """On thirty languages, few dates and more steps."""
    ends, timed = at_the_end(columns, "nats, all"), at_equal_time(columns, "nats, all")
    gap = gaps(columns, "all")
    return [
        Claim(
            "M3.translate-long-steps", "the same with thirty languages, few dates and"
            " more steps", f"{PAPER}, table 2", "141 < 995 billion tokens",
            Below(ends["experts"], ends["dense"], UNIT, 3),
        ),
        Claim(
            "M3.translate-long-time", "and in as much time", f"{PAPER}, table 3",
            "22 against 235 core-years, and better",
            Below(timed["experts"], timed["dense"], UNIT, 3),
        ),
        Claim(
            "M3.translate-turn", "the longer the training, the more do experts gain"
            " (here: nats saved, first and last checkpoint)", f"{PAPER}, table 2",
            "4.9 times fewer tokens to a loss of 0.7, 6.3 times to 0.6",
            Below(gap[:, 0], gap[:, -1], UNIT, 3),
        ),
    ]  # fmt: skip


def stored_claims() -> list[Claim]:
    """From the two long measurements.

    Raises:
        ResultsError: a stored result that may not be shown.
    """
    short, many = stored(long.SHORT), stored(long.LONG)
    return [
        *with_origin(short, short_claims(short)),
        *with_origin(many, long_claims(many)),
    ]
