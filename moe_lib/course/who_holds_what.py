"""A feed-forward layer on n rows and m columns of cores: who holds what, what travels.

Fedus et al. (2021), section 5. The n rows share out the tokens (data parallelism) and
the experts, the m columns share out the hidden units of each expert (model
parallelism). Everything here is counted, nothing is sent; `sharded_layer` sends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from moe_lib.checks import require_count
from moe_lib.course.table import Table
from moe_lib.routers.slots import SlotRule

#: What travels -> how often a step sends it: forward and backward, or once.
JOURNEYS = {"tokens": 4, "partial sums": 2, "gradients": 1}


class Share(NamedTuple):
    """What one core holds: tokens of the batch, experts, hidden units of each."""

    tokens: range
    experts: range
    units: range


@dataclass(frozen=True)
class Layout:
    """One feed-forward layer, spread over ``rows * columns`` cores.

    With fewer experts than rows each has copies in several rows; with one expert the
    layer is dense, and the rows are plain data parallelism.

    Args:
        rows: n, ways to share out the tokens. columns: m, ways to cut an expert.
        num_experts: E; 1 is the dense layer.
        tokens: B of a batch, of all rows together.
        d_model, d_ff: the usual. capacity_factor: of the buffers of each row.
        width: bytes of a number.

    Raises:
        ValueError: a count below 1, or one that does not divide.
    """

    rows: int
    columns: int
    num_experts: int
    tokens: int = 8192
    d_model: int = 768
    d_ff: int = 3072
    capacity_factor: float = 1.0
    width: int = 4

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "capacity_factor":
                require_count(name, value)
        for whole, parts in (("tokens", "rows"), ("d_ff", "columns")):
            count, into = getattr(self, whole), getattr(self, parts)
            if count % into:
                raise ValueError(
                    f"{whole}={count} but {parts}={into}: give a multiple of {into}"
                )
        if self.num_experts % self.rows and self.rows % self.num_experts:
            raise ValueError(
                f"num_experts={self.num_experts} but rows={self.rows}: give a multiple"
                f" of {self.rows} experts, or a divisor of it to keep copies"
            )

    @property
    def cores(self) -> int:
        """N = n m."""
        return self.rows * self.columns

    @property
    def strategy(self) -> str:
        """What Switch's figure 9 calls it."""
        used = {"expert": self.group > 1, "model": self.columns > 1,
                "data": self.rows > 1}  # fmt: skip
        return " + ".join(name for name, there in used.items() if there) or "one core"

    # -- who holds what ------------------------------------------------------------

    @property
    def copies(self) -> int:
        """Rows in which each expert stands."""
        return max(self.rows // self.num_experts, 1)

    @property
    def group(self) -> int:
        """Rows that together hold every expert once, and exchange tokens."""
        return self.rows // self.copies

    def home(self, expert: int, row: int) -> int:
        """The row to which a token of ``row`` travels for this expert."""
        each = self.num_experts // self.group
        return row // self.group * self.group + expert // each

    def share(self, row: int, column: int) -> Share:
        """What the core in this row and column holds."""
        return Share(
            _part(self.tokens, self.rows, row),
            _part(self.num_experts, self.group, row % self.group),
            _part(self.d_ff, self.columns, column),
        )

    @property
    def weights(self) -> int:
        """Numbers in the matrices of all experts, each expert counted once."""
        return self.num_experts * 2 * self.d_model * self.d_ff

    @property
    def router_weights(self) -> int:
        """Numbers in the router, which every core has; a dense layer has none."""
        return self.d_model * self.num_experts if self.num_experts > 1 else 0

    @property
    def weights_of_a_core(self) -> int:
        """Numbers of the experts that one core holds."""
        return self.weights // (self.group * self.columns)

    @property
    def held_bytes(self) -> int:
        """Of one core: its part of the experts, and the router."""
        return (self.weights_of_a_core + self.router_weights) * self.width

    # -- what travels --------------------------------------------------------------

    @property
    def capacity(self) -> int:
        """C, places of each expert for the tokens of one row."""
        each = self.tokens // self.rows
        if self.num_experts == 1:
            return each
        return SlotRule(self.capacity_factor).capacity(
            each, self.num_experts, 1, training=True
        )

    @property
    def buffer(self) -> int:
        """Numbers in ``[E, C, d_model]``, which a row sends, and its experts get."""
        return self.num_experts * self.capacity * self.d_model

    @property
    def sent(self) -> dict[str, Fraction]:
        """Numbers that leave a core in a step, on average over the cores.

        tokens: an all-to-all of the buffer within a group of rows, there and back,
            forward and backward; what stays in its row is left out.
        partial sums: an all-reduce of the buffer over the columns, both ways.
        gradients: an all-reduce of the weights over their copies, and of the router
            over the rows, once.
        """
        away = Fraction(self.group - 1, self.group)
        gradients = _ring(self.copies) * self.weights_of_a_core
        one = {
            "tokens": away * self.buffer,
            "partial sums": _ring(self.columns) * self.buffer,
            "gradients": gradients + _ring(self.rows) * self.router_weights,
        }
        return {name: JOURNEYS[name] * count for name, count in one.items()}

    @property
    def sent_bytes(self) -> dict[str, float]:
        """As `sent`, in bytes."""
        return {name: float(count * self.width) for name, count in self.sent.items()}


def layouts_table(layouts: Sequence[Layout]) -> Table:
    """A row for each: its strategy, what a core holds, what leaves it in a step."""
    head = ("strategy", "n", "m", "E", "a core holds, MB", "copies",
            *(f"{name}, MB" for name in JOURNEYS))  # fmt: skip
    rows = [
        (
            one.strategy, one.rows, one.columns, one.num_experts,
            megabytes(one.held_bytes), one.copies,
            *map(megabytes, one.sent_bytes.values()),
        )
        for one in layouts
    ]  # fmt: skip
    return Table(head, rows, f"{len(rows)} ways to spread a layer over cores")


def megabytes(count: float) -> str:
    """In units of a million bytes."""
    return f"{count / 1e6:,.{1 if count < 1e8 else 0}f}"


def _part(count: int, parts: int, which: int) -> range:
    each = count // parts
    return range(which * each, (which + 1) * each)


def _ring(cores: int) -> Fraction:
    """What leaves each core in an all-reduce round a ring, in units of the sum."""
    return Fraction(2 * (cores - 1), cores)
