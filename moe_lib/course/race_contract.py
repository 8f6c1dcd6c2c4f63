"""What a router has to keep to in the race, and what it breaks, in one line."""

from __future__ import annotations

from copy import deepcopy

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
Told = tuple[Tensor, Tensor]  # x [T, d_model] and ids [T] int64
SLACK = 1.05  # of the experts of a token: some routers keep to k on average only


def entry_fault(router: object, setup: Setup, losses: AuxiliaryLosses) -> str:
    """Why a router may not race, as a clause; "" if it may.

    Asked for: ``router(x, token_mask, token_ids)`` answers a `Routing` of sound columns
    whose dropped rows weigh 0, serves no padding, has rows by the shape of ``x`` alone,
    answers alike twice in evaluation and, unless ``setup.masked``, looks at no later
    token there, nor at its id. Where all tokens get equally many experts, they are
    ``setup.experts_per_token`` at most; of others see `arithmetic_fault`.

    Args:
        losses: of a routing -> coefficient; each is one finite number.
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
                if fault := _fault_of(routing, setup) or loss_fault(losses, routing):
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
    return _eval_fault(router, setup, (x, ids[0]), (other, ids[1]))


def arithmetic_fault(model: nn.Module, inputs: Tensor, setup: Setup) -> str:
    """Whether a trained model serves a byte by more experts than the race allows, on
    average over ``inputs`` ``[N, L]`` int64, as a clause; "" if it does not.

    On real text and once trained: a threshold takes many at first, and the features of
    a trained model are nothing like random ones.
    """
    model = deepcopy(model)  # thresholds and biases move in training
    for training in (True, False):
        with torch.no_grad():
            _, routings = model.train(training)(inputs)
        count = max(int(r.kept.sum()) / r.num_tokens for r in routings)
        if count > setup.experts_per_token * SLACK:
            where = "in training" if training else "in eval mode"
            return (
                f"a byte gets {count:.3g} experts on average ({where}), the arithmetic"
                f" of the race allows {setup.experts_per_token:g}"
            )
    return ""


def _fault_of(routing: Routing, setup: Setup) -> str:
    if fault := columns_fault(routing, TEXTS * LENGTH, setup.num_experts):
        return fault
    heavy = (~routing.kept & (routing.combine_weights != 0)).sum()
    if heavy:
        return (
            f"{int(heavy)} of {int((~routing.kept).sum())} dropped rows have a weight:"
            " make it 0 where kept is False"
        )
    served = routing.token_index[routing.kept].bincount(minlength=TEXTS * LENGTH)
    count, k = int(served.min()), setup.experts_per_token
    if count > k * SLACK and (served == count).all():
        return f"a token gets {count} experts, the arithmetic of the race allows {k:g}"
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


def _eval_fault(router: nn.Module, setup: Setup, told: Told, other: Told) -> str:
    x, ids = told

    def weights(tokens: Tensor, ids: Tensor = ids) -> Tensor:
        return router(tokens, None, ids).dense()

    with evaluating(router):
        if moved_by(weights, x, x).any():
            return (
                "in eval mode it answers the same tokens twice, and not alike: draw"
                " lots while self.training only"
            )
        if setup.masked:
            return ""
        before, places = weights(x), torch.arange(len(x))
        text, place = places // LENGTH, places % LENGTH

        def moved(ahead: Tensor) -> Tensor:
            after = weights(
                torch.where(ahead[:, None], other[0], x),
                torch.where(ahead, other[1], ids),  # who hashes may look ahead, too
            )
            return (after != before).any(dim=1)

        for start in STARTS:
            ahead = place >= start
            if not (early := moved(ahead) & ~ahead).any():
                continue
            first = int(place[early].min())
            own = (
                moved((place >= s) & (text == t))[(place < s) & (text == t)].any()
                for s in STARTS for t in range(TEXTS)
            )  # fmt: skip
            if any(own):
                return (
                    f"it looks at the future: the weights of byte {first} of a text"
                    f" move when other bytes stand from byte {start} on"
                )
            return (
                f"it looks at another text: the weights of byte {first} move with the"
                f" texts beside it; tokens stand text by text, {LENGTH} bytes each"
            )
    return ""
