"""What the remedies are made of, without processes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lib.course.split_run import spread
from moe_lib.course.traffic_remedies import (
    NearbyRouter,
    conversion_seconds,
    plain_and_remedies,
    some_tokens,
)
from moe_lib.routers import GShardRouter


@given(st.sets(st.integers(0, 7), min_size=2), st.integers(0, 20))
@settings(deadline=None, max_examples=30)
def test_tokens_choose_the_best_of_what_is_near(nearby, tokens):
    router = NearbyRouter(4, 8, sorted(nearby), capacity_factor=None)
    logits = torch.randn(tokens, 8)
    routing = router.eval().route(logits)
    chosen = routing.expert_index.view(tokens, 2)
    order = [e for e in range(8) if e in nearby]
    best = logits[:, order].topk(2).indices
    assert torch.equal(chosen, torch.tensor(order)[best])
    assert torch.allclose(routing.dense().sum(dim=1), torch.ones(tokens))
    assert torch.equal(routing.router_logits, logits)


def test_with_all_experts_near_it_is_gshards_router():
    logits = torch.randn(20, 4)
    ours, theirs = (r.eval().route(logits) for r in (NearbyRouter(8, 4, range(4)),
                                                     GShardRouter(8, 4)))  # fmt: skip
    assert torch.equal(ours.dense(), theirs.dense())


def test_one_expert_is_too_few():
    with pytest.raises(ValueError, match=r"nearby=\[3\]: a token needs two experts"):
        NearbyRouter(4, 8, [3])


@pytest.mark.parametrize("ranks", [2, 4])
def test_every_remedy_has_its_layer(ranks):
    ways = plain_and_remedies(8, ranks)
    assert len(ways) == len({way.name for way in ways}) == {2: 7, 4: 8}[ranks]
    x = some_tokens(6, seed=1)
    for way in ways:
        _, routing = way.build(1, ranks)(x)
        assert len(routing.kept) == 6 * way.top_k and routing.kept.all()
        stands = routing.expert_index // (way.num_experts // ranks)
        if way.near == 1:
            assert (stands == 1).all()
        if way.near == 2:
            assert (stands < 2).all()


def test_unchanged_weights_are_the_plain_layers():
    plain, *ways = plain_and_remedies(8, 4)
    weights = plain.build(0, 4).state_dict()
    for way in ways:
        same = way.build(3, 4).state_dict().items()
        if way.d_ff == plain.d_ff:
            assert all(torch.equal(value, weights[name]) for name, value in same)


def test_tokens_come_from_their_seed():
    assert torch.equal(some_tokens(5, seed=3), some_tokens(5, seed=3))
    assert not torch.equal(some_tokens(5, seed=3), some_tokens(5, seed=4))
    assert some_tokens(0, seed=3).shape == (0, 128)


def test_only_what_is_converted_takes_time():
    plain, bfloat16, *_ = plain_and_remedies(8, 2)
    rows = torch.ones(100, 128)
    assert conversion_seconds(rows, plain) == 0 < conversion_seconds(rows, bfloat16)


def test_spread_tells_median_and_quartiles():
    assert spread([1, 2, 3, 4, 5], 10) == "30 (20 to 40)"
    assert spread([0.021]) == spread([0.021, 0.021]) == "0.021"
