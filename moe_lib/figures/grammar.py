"""What the pictures of a routing say, as numbers, before anything is drawn.

One grammar in all of them: an expert is a colour, a letter and a place; a choice is a
shape; a row that is kept is filled, a row that is dropped is hollow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from moe_lib.routers.slots import group_of
from moe_lib.routing import Routing

#: The marker of a choice by its rank; an expert's own pick is a square as well.
SYMBOLS = ("circle", "diamond", "square")
#: What became of a row; `Marks.fate` holds the index.
KEPT, FULL, DECLINED, PADDING = range(4)
FATES = ("kept", "dropped: the expert was full", "declined by lot", "padding")


@dataclass(frozen=True, eq=False)
class Marks:
    """The rows of a routing, ready to be drawn: numpy arrays of length A.

    Columns:
        token, expert, position: int64, as in the table. group: int64, the token's.
        choice: int64 from 0: the token's first, second, ... choice.
        weight: float64, the combine weight.
        kept, real: bool. fate: int64, an index of FATES.

    Beside them:
        chooser: "tokens", "experts" (expert choice) or "all" (every expert serves
            every token, the gate of 1991: all choices are 0).
    """

    token: np.ndarray
    expert: np.ndarray
    position: np.ndarray
    group: np.ndarray
    choice: np.ndarray
    weight: np.ndarray
    kept: np.ndarray
    real: np.ndarray
    fate: np.ndarray
    chooser: str

    @property
    def symbol(self) -> np.ndarray:
        """Plotly's name of each row's marker, ``[A]`` str."""
        rank = np.full_like(self.choice, 2) if self.chooser == "experts" else (
            self.choice.clip(max=2))  # fmt: skip
        return np.array(SYMBOLS)[rank]

    def choice_names(self) -> dict[str, str]:
        """Marker -> what it means, for the markers that occur among real rows."""
        if self.chooser != "tokens":
            experts = self.chooser == "experts"
            name = "picked by the expert" if experts else "every expert serves"
            return {SYMBOLS[2 if experts else 0]: name}
        last = self.choice[self.real].max(initial=-1)
        third = "third choice" if last == 2 else "later choice"
        names = ("first choice", "second choice", third)
        return dict(zip(SYMBOLS[: last + 1], names[: last + 1], strict=True))


def marks(routing: Routing) -> Marks:
    """The rows of ``routing``; where it requires grad, no gradient is followed.

    Raises:
        ValueError: there is no token.
    """
    if not routing.num_tokens:
        raise ValueError("routing has 0 tokens: give one with at least 1 to draw")
    token, expert = _numpy(routing.token_index), _numpy(routing.expert_index)
    position, kept = _numpy(routing.position_in_expert), _numpy(routing.kept)
    real = _numpy(routing.real_rows)
    full = np.zeros_like(kept)
    if routing.capacity is not None:
        full = position >= routing.capacity
    fate = np.where(kept, KEPT, np.where(full, FULL, DECLINED))
    who = chooser(routing)
    return Marks(
        token=token,
        expert=expert,
        position=position,
        group=_numpy(group_of(routing.token_index, routing.group_size)),
        choice=np.zeros_like(token) if who == "all" else _rank_in_token(token),
        weight=_numpy(routing.combine_weights).astype(float),
        kept=kept,
        real=real,
        fate=np.where(real, fate, PADDING),
        chooser=who,
    )


def chooser(routing: Routing) -> str:
    """Who chose: "tokens", "experts", or "all" where nobody had a choice.

    Read from the order of the rows. Where tokens choose, row t * k + j is t's j-th
    choice. In expert choice every expert has exactly ``capacity`` rows in each group,
    by group, then expert, then place. A table may be both (two tokens, two experts, a
    slot each), and then both readings are true; tokens have chosen if they have at
    most two rows each, since no router with slots lets them choose more. "all": every
    token has a row for every expert, in the experts' order, and there are no slots.
    """
    tokens, experts, slots = routing.num_tokens, routing.num_experts, routing.capacity
    rows = len(routing.token_index)
    order = torch.arange(rows, device=routing.token_index.device)
    k = rows // tokens
    by_token = k * tokens == rows and torch.equal(routing.token_index, order // k)
    if slots is None:
        in_turn = torch.equal(routing.expert_index, order % experts)
        return "all" if by_token and k == experts > 1 and in_turn else "tokens"
    by_expert = (
        rows % (experts * slots) == 0
        and torch.equal(routing.expert_index, order // slots % experts)
        and torch.equal(routing.position_in_expert, order % slots)
    )
    return "experts" if by_expert and not (by_token and k <= 2) else "tokens"


@dataclass(frozen=True)
class Load:
    """How evenly the experts are asked; padding counts in nothing.

    Fields:
        demand: rows that asked for each expert. served: those that were kept.
        fair: rows per expert if all were asked alike.
        cv: the demand's coefficient of variation, population deviation / mean.
        max_over_mean: the busiest expert's demand / fair; both 0 without demand.
        over: rows that found each expert full.
    """

    demand: list[int]
    served: list[int]
    over: list[int]
    fair: float
    cv: float
    max_over_mean: float

    @property
    def busiest(self) -> int:
        """The expert with the most demand, the first of equals."""
        return int(np.argmax(self.demand))


def load_summary(routing: Routing) -> Load:
    """Demand, service and their evenness, over all tokens and groups."""
    rows = marks(routing)
    demand = _numpy(routing.demand_per_expert)
    full = rows.expert[rows.fate == FULL]
    mean = float(demand.mean())
    return Load(
        demand=demand.tolist(),
        served=_numpy(routing.tokens_per_expert).tolist(),
        over=np.bincount(full, minlength=routing.num_experts).tolist(),
        fair=mean,
        cv=float(demand.std()) / mean if mean else 0.0,
        max_over_mean=float(demand.max()) / mean if mean else 0.0,
    )


def unserved(routing: Routing) -> list[int]:
    """The real tokens that no expert serves: they have only the residual road."""
    alone = np.ones(routing.num_tokens, dtype=bool)
    if routing.token_mask is not None:
        alone &= _numpy(routing.token_mask)
    alone[_numpy(routing.token_index[routing.kept])] = False
    return np.flatnonzero(alone).tolist()


def _rank_in_token(token: np.ndarray) -> np.ndarray:
    """How many rows of the same token stand above each row."""
    order = np.argsort(token, kind="stable")
    among = token[order]
    first = np.searchsorted(among, among)
    rank = np.empty_like(token)
    rank[order] = np.arange(len(token)) - first
    return rank


def _numpy(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()
