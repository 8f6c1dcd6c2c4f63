"""Which routers look at later tokens: the leak, or its absence, is exact."""

import pytest
import torch
from torch import nn

import router_kinds as kinds
from moe_lib import routers
from moe_lib.course.leak import router_leak
from moe_lib.routers import GShardRouter, SwitchRouter

TOKENS, EXPERTS = 18, 4
EVERY = kinds.ALL | kinds.REPAIRS
AHEAD = {  # an expert compares a token with later ones, ...
    "expert_choice",
    "expert_choice_groups",
    "switch_groups",  # ... a later token with more priority takes its place, ...
    "gshard_groups",
    "gshard",  # ... or a second choice waits for all first choices
}


def worst(router, trials: int = 40) -> float:
    """The largest change of an earlier token's weight."""
    found = [torch.zeros(1)]
    for seed in range(trials):
        x, ids = kinds.tokens(TOKENS, seed)
        other, _ = kinds.tokens(TOKENS, 1000 + seed)
        start = 3 * (1 + seed % 5)  # at a text's end, where texts have 3 tokens
        found.append(router_leak(router, x, other, start, ids))
    return torch.cat(found).max().item()


@pytest.mark.parametrize("kind", EVERY)
def test_who_looks_ahead(kind):
    router = kinds.make(kind, EXPERTS)
    if kind in AHEAD:
        assert worst(router) > 0.01
    elif kind == "same_position":
        assert worst(router) > 0.01  # at other texts, see below
    else:
        assert worst(router) == 0.0


def test_every_router_of_the_library_is_asked():
    there = {vars(routers)[name] for name in routers.__all__}
    there = {kind for kind in there if issubclass(kind, nn.Module)} - {
        routers.Router,
        routers.RouterGate,
    }
    assert {type(kinds.make(kind, EXPERTS)) for kind in EVERY} == there
    assert AHEAD < set(EVERY)


def test_same_position_looks_at_other_texts_but_not_ahead():
    router = kinds.make("same_position", EXPERTS).eval()  # texts of 3 tokens
    position = torch.arange(TOKENS) % 3
    with torch.no_grad():
        for seed in range(20):
            x, other = kinds.tokens(TOKENS, seed)[0], kinds.tokens(TOKENS, 99 + seed)[0]
            for later in (1, 2):
                changed = torch.where((position >= later)[:, None], other, x)
                one, two = router(x).dense(), router(changed).dense()
                assert torch.equal(one[position < later], two[position < later])


@pytest.mark.parametrize("make", [SwitchRouter, GShardRouter])
@pytest.mark.parametrize("priority", [False, True])
def test_with_room_for_all_nobody_can_be_pushed_out(make, priority):
    router = make(
        kinds.D_MODEL,
        EXPERTS,
        capacity_factor=0.5,
        eval_capacity_factor=float(EXPERTS),
        batch_prioritized_routing=priority,
    )
    assert worst(router) == 0.0


def test_gshards_second_choice_waits_for_a_later_first_choice():
    router = GShardRouter(1, 2, capacity_factor=1.0, second_expert_policy="all").eval()
    likes_a, likes_b = [2.0, 0.0], [0.0, 2.0]
    for later, second_kept in ((likes_b, False), (likes_a, True)):
        # two tokens, two places at each expert and both choices: room is 2 * 2 / 2
        table = router.route(torch.tensor([likes_a, later]))
        assert table.capacity == 2 and table.kept.all()
        tight = GShardRouter(1, 2, capacity_factor=0.5, second_expert_policy="all")
        table = tight.eval().route(torch.tensor([likes_a, later]))
        assert table.capacity == 1
        assert table.kept.view(2, 2)[0].tolist() == [True, second_kept]
