"""What a router has to keep to in the race, and what it breaks, in one line."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from moe_lib.course.leak import moved_by
from moe_lib.course.race_setup import Setup
from moe_lib.course.router_contract import columns_fault, loss_fault, sizes_fault
from moe_lib.course.switch_setup import LENGTH
from moe_lib.language_modelling import AuxiliaryLosses
from moe_lib.routing import Routing
from moe_lib.running import evaluating

TEXTS = 4
STARTS = (1, 7, LENGTH // 2, LENGTH - 1)  # from there on a text is replaced
SLACK = 1.05  # of the experts of a token: some routers keep to k on average only


def entry_fault(
    router: object, setup: Setup, losses: AuxiliaryLosses, *, trained: bool = False
) -> str:
    """Why a router may not race, as a clause; "" if it may.

    Asked for: ``router(x, token_mask, token_ids)`` answers a `Routing` of sound columns
    whose dropped rows weigh 0, serves no padding, has rows by the shape of ``x`` alone,
    gives a token ``setup.experts_per_token`` experts on average at most (before its
    training: no more to every token), answers alike twice in evaluation and, unless
    ``setup.masked``, looks at no later token there.

    Args:
        losses: of a routing -> coefficient; each is one finite number.
        trained: the router has learnt; its average counts now.
    """
    if fault := sizes_fault(router, setup.d_model, setup.num_experts):
        return fault
    draw = torch.Generator().manual_seed(0)
    shape = (2, TEXTS * LENGTH, setup.d_model)
    x, other = torch.randn(shape, generator=draw)
    ids = torch.randint(256, (2, TEXTS * LENGTH), generator=draw)
    was = router.training
    try:
        with torch.no_grad():
            for training in (True, False):
                router.train(training)
                where = "" if training else " (in eval mode)"
                routing = router(x, None, ids[0])
                fault = _fault_of(routing, setup, trained) or loss_fault(
                    losses, routing
                )
                if fault:
                    return fault + where
                if fault := _padding_fault(router, x, ids[0]):
                    return fault + where
                if len(routing.kept) != len(router(other, None, ids[1]).kept):
                    return (
                        f"its tables of {len(x)} tokens differ in length: give a row to"
                        " every pair that could be, with kept False where it is not"
                    ) + where
    finally:
        router.train(was)
    return _eval_fault(router, setup, x, other, ids[0])


def _fault_of(routing: Routing, setup: Setup, trained: bool) -> str:
    if fault := columns_fault(routing, TEXTS * LENGTH, setup.num_experts):
        return fault
    heavy = (~routing.kept & (routing.combine_weights != 0)).sum()
    if heavy:
        return (
            f"{int(heavy)} of {int((~routing.kept).sum())} dropped rows have a weight:"
            " make it 0 where kept is False"
        )
    served = routing.token_index[routing.kept].bincount(minlength=TEXTS * LENGTH)
    count = served.double().mean() if trained else served.double().min()
    k = setup.experts_per_token
    if count > k * SLACK:
        how = "on average" if trained else "or more"
        return (
            f"a token gets {count:.3g} experts {how}, the arithmetic of the race"
            f" allows {k:g}"
        )
    return ""


def _padding_fault(router: nn.Module, x: Tensor, ids: Tensor) -> str:
    mask = torch.arange(len(x)) % LENGTH < LENGTH - 5
    table = router(x, mask, ids)
    if not isinstance(table, Routing):
        return f"it returns a {type(table).__name__}, not a Routing"
    padding = int((table.kept & ~mask[table.token_index]).sum())
    if padding:
        return f"it serves {padding} rows of padding: mind token_mask"
    return ""


def _eval_fault(
    router: nn.Module, setup: Setup, x: Tensor, other: Tensor, ids: Tensor
) -> str:
    def weights(tokens: Tensor) -> Tensor:
        return router(tokens, None, ids).dense()

    with evaluating(router):
        if moved_by(weights, x, x).any():
            return "in eval mode it answers the same tokens twice, and not alike"
        if setup.masked:
            return ""
        place = torch.arange(len(x)) % LENGTH
        for start in STARTS:
            changed = torch.where((place >= start)[:, None], other, x)
            moved = moved_by(weights, x, changed) * (place < start)
            if moved.any():
                first = int(place[moved > 0].min())
                return (
                    f"it looks at the future: the weights of byte {first} of a text"
                    f" move when other bytes stand from byte {start} on"
                )
    return ""
