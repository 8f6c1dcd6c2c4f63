"""What a reader's router and losses must keep to, and what they break, in one line."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from moe_lib.course.byte_setup import Setup
from moe_lib.language_modelling import AuxiliaryLosses
from moe_lib.routing import Routing

TOKENS = 64
COLUMNS = {
    "token_index": torch.int64,
    "expert_index": torch.int64,
    "combine_weights": torch.float32,
    "kept": torch.bool,
    "position_in_expert": torch.int64,
}


def contract_fault(router: object, losses: AuxiliaryLosses, setup: Setup) -> str:
    """Why these cannot be scored, as a clause; "" if they can.

    Asked for: ``router(x, token_mask, token_ids)`` answers a `Routing` that gives
    each token k different experts with weights that sum to 1, drops nothing and,
    without noise, looks at no other token; ``loss(routing)`` is one finite number.
    """
    if fault := sizes_fault(router, setup.d_model, setup.num_experts):
        return fault
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(TOKENS, setup.d_model, generator=draw)
    ids = torch.randint(256, (TOKENS,), generator=draw)
    with torch.no_grad():
        for training in (True, False):
            router.train(training)
            routing = router(x, None, ids)
            fault = table_fault(routing, TOKENS, setup) or loss_fault(losses, routing)
            if fault:
                return fault + ("" if training else " (in eval mode)")
        fewer = router(x[::2], None, ids[::2])
    if not torch.allclose(fewer.dense(), routing.dense()[::2], atol=1e-4):
        return (
            "in eval mode a token's experts depend on the other tokens, which are not"
            " there when text is written byte by byte"
        )
    return ""


def sizes_fault(router: object, d_model: int, num_experts: int) -> str:
    """Whether it is a module of these sizes, as a clause; "" if it is."""
    if not isinstance(router, nn.Module):
        return f"a {type(router).__name__} is no torch.nn.Module"
    for name, asked in (("num_experts", num_experts), ("d_model", d_model)):
        if (has := getattr(router, name, None)) != asked:
            return f"its {name} is {has}, asked for is {asked}"
    return ""


def columns_fault(routing: object, num_tokens: int, num_experts: int) -> str:
    """What is wrong with a table as a table, as a clause; "" if nothing is.

    Its columns have one length, the dtypes of `Routing` (weights float32) and numbers
    that mean something; no token is served twice by one expert.
    """
    if routing is None:
        return "it returns nothing: is a return missing?"
    if not isinstance(routing, Routing):
        return f"it returns a {type(routing).__name__}, not a Routing"
    shape = list(routing.router_probs.shape)
    if shape != [num_tokens, num_experts]:
        return f"router_probs is {shape}, not {[num_tokens, num_experts]}"
    for name, dtype in COLUMNS.items():
        if (has := getattr(routing, name).dtype) != dtype:
            return f"{name} is {has}, not {dtype}"
    lengths = {name: list(getattr(routing, name).shape) for name in COLUMNS}
    rows = lengths["token_index"]
    if wrong := [name for name, length in lengths.items() if length != rows]:
        return f"{wrong[0]} is {lengths[wrong[0]]}, token_index is {rows}"
    if not torch.isfinite(routing.combine_weights).all():
        return "a weight is NaN or infinite"
    for name, most in (("token_index", num_tokens), ("expert_index", num_experts)):
        index = getattr(routing, name)
        if len(index) and (index.min() < 0 or index.max() >= most):
            return f"{name} goes from {int(index.min())} to {int(index.max())}"
    cells = (routing.token_index * num_experts + routing.expert_index)[routing.kept]
    if len(cells) and cells.bincount().max() > 1:
        return "a token gets the same expert twice"
    return ""


def table_fault(routing: object, num_tokens: int, setup: Setup) -> str:
    """What is wrong with a router's answer, as a clause; "" if nothing is."""
    if fault := columns_fault(routing, num_tokens, setup.num_experts):
        return fault
    if dropped := int((~routing.kept).sum()):
        return f"it drops {dropped} of {len(routing.kept)} rows"
    counted = torch.bincount(routing.token_index, minlength=num_tokens)
    if (counted != setup.top_k).any():
        wrong = int(counted[counted != setup.top_k][0])
        return f"a token gets {wrong} experts, asked for are {setup.top_k}"
    sums = routing.dense().sum(dim=1)
    if not torch.allclose(sums, torch.ones_like(sums), atol=1e-4):
        worst = sums[(sums - 1).abs().argmax()].item()
        return f"the weights of a token sum to {worst:.3g}, not 1"
    return ""


def loss_fault(losses: AuxiliaryLosses, routing: Routing) -> str:
    """The first loss that is not one finite number, as a clause; "" if none."""
    for loss in losses:
        name, value = getattr(loss, "__name__", repr(loss)), loss(routing)
        if not isinstance(value, Tensor):
            return f"{name} returns a {type(value).__name__}, not a tensor"
        if value.ndim or not torch.isfinite(value):
            what = f"of shape {list(value.shape)}" if value.ndim else f"{value.item()}"
            return f"{name} returns a tensor {what}, not one finite number"
    return ""
