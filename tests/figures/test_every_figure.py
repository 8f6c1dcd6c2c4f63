"""Every figure that `moe_lib.figures` exports and that takes a routing, on any table.

A figure that is added to the package is tried here without another line.
"""

import dataclasses
import inspect
import time

import pytest
import torch

import moe_lib.figures
import router_kinds
from moe_lib.routers import SwitchRouter, TopKRouter


def parameters(name: str):
    return inspect.signature(getattr(moe_lib.figures, name)).parameters


NAMES = [name for name in moe_lib.figures.__all__ if "routing" in parameters(name)]
EVERY = pytest.mark.parametrize("name", NAMES)


def table(kind: str, count: int, num_experts: int = 4):
    router = router_kinds.make(kind, num_experts).train()
    torch.manual_seed(1)
    x, ids = router_kinds.tokens(count)
    return router_kinds.route(router, x, ids)


def all_dropped():
    routing = table("switch", 12)
    nothing = torch.zeros_like(routing.kept)
    full = torch.full_like(routing.position_in_expert, routing.capacity)
    return dataclasses.replace(
        routing,
        kept=nothing,
        position_in_expert=routing.position_in_expert + full,
        combine_weights=torch.zeros_like(routing.combine_weights),
    )


def one_token():
    return SwitchRouter(router_kinds.D_MODEL, 64)(torch.ones(1, router_kinds.D_MODEL))


EXTREMES = {
    "one token of 64 experts": one_token,
    "all dropped": all_dropped,
    "nothing dropped, 64 experts": lambda: table("top_k", 64, 64),
    "2,000 tokens": lambda: table("switch", 2000 // 6 * 6 + 6, 16),
    "2,000 tokens, every expert": lambda: table("softmax", 2000, 8),
}


def draw(name: str, routing, **how):
    """The figure; with texts where it takes some."""
    if "tokens" in parameters(name):
        how["tokens"] = [f"word {t}" for t in range(routing.num_tokens)]
    return getattr(moe_lib.figures, name)(routing, **how)


def check(fig):
    assert fig.to_json()
    alt = fig.layout.meta["alt"]
    assert alt.strip() and any(c.isdigit() for c in alt), alt


@EVERY
@pytest.mark.parametrize("kind", router_kinds.ALL)
def test_it_draws_every_router_s_table(name, kind):
    check(draw(name, table(kind, 24)))


@EVERY
@pytest.mark.parametrize("extreme", EXTREMES)
def test_it_draws_the_extremes(name, extreme):
    check(draw(name, EXTREMES[extreme]()))


@EVERY
@pytest.mark.parametrize("theme", ["both", "light", "dark"])
def test_it_has_themes_and_names_an_unknown_one(name, theme):
    routing = table("gshard", 12)
    check(draw(name, routing, theme=theme))
    with pytest.raises(ValueError, match="theme='sepia': choose one of"):
        draw(name, routing, theme="sepia")


@EVERY
def test_an_empty_table_is_drawn_empty_or_refused_in_one_line(name):
    nothing = SwitchRouter(router_kinds.D_MODEL, 4)(
        torch.zeros(0, router_kinds.D_MODEL)
    )
    try:
        check(draw(name, nothing))
    except ValueError as error:
        assert "routing has 0 tokens: give one" in str(error)


@EVERY
def test_64_tokens_and_16_experts_take_under_100_ms(name):
    routing = TopKRouter(router_kinds.D_MODEL, 16)(router_kinds.tokens(64)[0])
    taken = []
    for _ in range(7):  # processor time: other work on the machine does not count
        start = time.process_time()
        draw(name, routing).to_json()
        taken.append(time.process_time() - start)
    print(f"{name}: {1e3 * min(taken):.0f} ms")
    assert min(taken) < 0.1
