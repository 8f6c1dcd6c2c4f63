"""The order of routers in DeepSeekMoE's table 1, beside the order of our race."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from moe_lib.course.claims import Claim
from moe_lib.course.evidence import BITS, Below
from moe_lib.course.sample import Sample, values_of
from moe_lib.course.table import Table

#: Loss on the Pile after 100 billion tokens; the mixtures have 2 billion parameters.
TABLE_1 = {
    "dense": 2.060,
    "hash": 1.932,
    "Switch": 1.881,
    "GShard": 1.867,
    "DeepSeekMoE": 1.808,
}
SOURCE = "Dai et al. 2024 (DeepSeekMoE), table 1"
DASH = "\u2013"
#: Claim, the router said to be lower, the one said to be higher, the statement.
PAIRS = (
    ("M6.order-hash", "hash", "dense",
     "experts by a fixed hash already beat a dense model"),
    ("M6.order-switch", "Switch", "hash", "a learned top-1 router beats the hash"),
    ("M6.order-gshard", "GShard", "Switch", "two experts a token beat one"),
)  # fmt: skip


def order_table(here: Mapping[str, Sequence[float]]) -> Table:
    """A row for each router: the paper's loss, ours, and both ranks.

    Ranks count from the lowest loss, among the routers that both sides have; a dash
    stands where one side has none.

    Args:
        here: router -> bits per byte of held-out text, one value per seed, ``[S]``.

    Raises:
        ValueError: a router with fewer than two finite values.
    """
    ours = {name: Sample(name, values_of(values)) for name, values in here.items()}
    both = TABLE_1.keys() & ours.keys()
    there_rank = _ranks(TABLE_1, both)
    here_rank = _ranks({name: sample.mean for name, sample in ours.items()}, both)
    rows = [
        (
            name,
            f"{TABLE_1[name]:.3f}" if name in TABLE_1 else DASH,
            there_rank.get(name, DASH),
            f"{ours[name].mean:.3f} ± {ours[name].sd:.3f}" if name in ours else DASH,
            here_rank.get(name, DASH),
        )
        for name in [*TABLE_1, *(name for name in ours if name not in TABLE_1)]
    ]
    head = ("router", "paper: loss on the Pile", "paper: rank",
            "here: bits per byte", "here: rank")  # fmt: skip
    return Table(head, rows, "table 1 of DeepSeekMoE beside our race")


def order_claims(here: Mapping[str, Sequence[float]], origin: str = "") -> list[Claim]:
    """The paper's order, neighbour by neighbour, on our values per seed.

    Args:
        here: as for `order_table`, with "dense", "hash", "Switch" and "GShard".
        origin: where stored values come from.

    Raises:
        ValueError: one of the four is missing, or has fewer than two values.
    """
    return [
        Claim(
            id, f"{text} (here: bits per byte of held-out text in the race)", SOURCE,
            f"{TABLE_1[lower]:.3f} against {TABLE_1[higher]:.3f}",
            Below(_present(here, lower), _present(here, higher), BITS, 3),
            origin,
        )
        for id, lower, higher, text in PAIRS
    ]  # fmt: skip


def _present(here: Mapping[str, Sequence[float]], name: str) -> Sequence[float]:
    """The values of a router.

    Raises:
        ValueError: there are none.
    """
    if name not in here:
        raise ValueError(
            f"here has {', '.join(here) or 'no router'}, and not {name!r}: race it too"
        )
    return here[name]


def _ranks(losses: Mapping[str, float], among: Collection[str]) -> dict[str, int]:
    """1 for the lowest loss of those ``among``."""
    order = sorted(among, key=losses.__getitem__)
    return {name: rank for rank, name in enumerate(order, start=1)}
