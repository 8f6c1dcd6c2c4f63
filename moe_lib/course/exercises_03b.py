"""The exercises of chapter 3b, with their solutions and the mistakes they recognise."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from moe_lib.course.exercises import Challenge, Exercise

Plan = tuple[Tensor, Tensor, Tensor]


def dispatch_plan(counts: Tensor, rank: int) -> Plan:
    ranks, experts = counts.shape
    split = counts.view(ranks, ranks, experts // ranks)  # [from, to, expert there]
    arriving = split[:, rank]  # [from, expert here]
    expert = torch.arange(experts // ranks).repeat(ranks)
    order = expert.repeat_interleave(arriving.flatten()).argsort(stable=True)
    return split[rank].sum(1), arriving.sum(1), order


def _exchanged(counts: Tensor, rank: int) -> Plan:
    sent, received, order = dispatch_plan(counts, rank)
    return received, sent, order


def _own_left_out(counts: Tensor, rank: int) -> Plan:
    sent, received, order = dispatch_plan(counts, rank)
    others = torch.arange(len(counts)) != rank
    return sent * others, received * others, order


def _dealt_in_turn(counts: Tensor, rank: int) -> Plan:
    """As if expert e lived on rank e % R."""
    in_turn = torch.arange(counts.shape[1]).argsort(stable=True)
    in_turn = in_turn.view(-1, len(counts)).T.flatten()
    return dispatch_plan(counts[:, in_turn], rank)


def _as_they_arrive(counts: Tensor, rank: int) -> Plan:
    sent, received, _ = dispatch_plan(counts, rank)
    return sent, received, torch.arange(int(received.sum()))


def _where_each_goes(counts: Tensor, rank: int) -> Plan:
    sent, received, order = dispatch_plan(counts, rank)
    return sent, received, order.argsort()


def _own_counts_twice(counts: Tensor, rank: int) -> Plan:
    """As if every rank sent what this one does."""
    sent, _, order = dispatch_plan(counts, rank)
    return sent, sent, order


def _last_row_first(counts: Tensor, rank: int) -> Plan:
    sent, received, order = dispatch_plan(counts, rank)
    here = counts.shape[1] // len(counts)
    of_expert = counts[:, rank * here : (rank + 1) * here].sum(0).tolist()
    return sent, received, torch.cat([part.flip(0) for part in order.split(of_expert)])


def _plan_cases() -> Iterator[tuple[Tensor, int]]:
    draw = torch.Generator().manual_seed(2020)
    yield torch.tensor([[1, 2], [3, 0]]), 0
    yield torch.tensor([[2, 1, 0, 1], [1, 2, 1, 0]]), 0
    yield torch.tensor([[0, 0, 0, 0], [2, 1, 1, 3]]), 1  # rank 0 has no tokens
    yield torch.tensor([[0, 0, 3, 1], [0, 0, 1, 2]]), 0  # nothing comes to rank 0
    for ranks, each, rank in ((3, 2, 1), (4, 1, 3), (3, 2, 2), (4, 2, 2)):
        counts = torch.randint(0, 4, (ranks, ranks * each), generator=draw)
        if ranks == 4:
            counts[1] = 0
        yield counts, rank


EXERCISES = [
    Exercise(
        "03b.1",
        title="a dispatch plan for uneven ranks",
        statement=(
            "Rank $r$ has `counts[r, e]` rows for expert $e$, sorted by expert. Expert"
            " $e$ lives on rank $e \\,//\\, (E/R)$. Answer three tensors for `rank`:"
            " how many rows it sends to each rank and how many it receives from each,"
            " both `[R]`, its own included; and `order`: the rows arrive sender after"
            " sender, `arrived[order]` has them expert after expert, within an expert"
            " in order of arrival."
        ),
        lines=6,
        hint=(
            "counts.view(R, R, E // R) has the sender, the receiver and the expert"
            " there as its dimensions. What arrives is view[:, rank]: for each sender"
            " a count for each expert. repeat_interleave turns those counts into one"
            " expert for each row; a stable argsort of them is the order."
        ),
        solution=dispatch_plan,
        cases=_plan_cases(),
        mistakes={
            "sent and received are exchanged: rows of counts send, columns receive": (
                _exchanged
            ),
            "the rank's own rows are missing: they go through the same call": (
                _own_left_out
            ),
            "expert e lives on rank e // (E / R), not on e % R: neighbours together": (
                _dealt_in_turn
            ),
            "that is the order of arrival: one expert's rows lie in R places": (
                _as_they_arrive
            ),
            "that is where each row goes (the inverse): order says which row comes": (
                _where_each_goes
            ),
            "what arrives is decided by the other ranks: take counts[:, ...] of all": (
                _own_counts_twice
            ),
            "within an expert the rows are not in order of arrival: stable=True": (
                _last_row_first
            ),
        },
        level="pencil first",
    ),
]

PLACEMENT = Challenge("03b.2", "a placement of experts with few crossings")
CHALLENGES = (PLACEMENT,)
