"""Padding changes nothing for the real tokens, in any router."""

import math

import pytest
import torch

import router_kinds as kinds
from moe_lib.losses import importance_loss, load_balancing_loss, router_z_loss
from router_kinds import route, rows_of

EXPERTS = 4
EVERY = pytest.mark.parametrize("kind", kinds.ALL)


@EVERY
@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_nothing_for_the_others(kind, training):
    router = kinds.make(kind, EXPERTS).train(training)
    x, ids = kinds.tokens(18, seed=5)
    real = torch.arange(18) % 3 != 1
    other_x, other_ids = kinds.tokens(18, seed=6)
    other_x = torch.where(real[:, None], x, 100 * other_x)
    other_ids = torch.where(real, ids, other_ids)
    torch.manual_seed(3)
    one = route(router, x, ids, real)
    torch.manual_seed(3)
    two = route(router, other_x, other_ids, real)
    assert rows_of(one, real) == rows_of(two, real)
    assert torch.equal(one.tokens_per_expert, two.tokens_per_expert)
    assert torch.equal(one.demand_per_expert, two.demand_per_expert)
    assert one.drop_fraction == two.drop_fraction
    for loss in (load_balancing_loss, router_z_loss, importance_loss):
        assert loss(one) == loss(two)
    if one.expected_load is not None:
        assert torch.equal(one.expected_load, two.expected_load)
    assert not one.kept[~real[one.token_index]].any()
    assert one.combine_weights[~one.kept].eq(0).all()


@pytest.mark.parametrize("kind", kinds.DROPLESS)
def test_without_capacity_padding_may_as_well_be_left_out(kind):
    router = kinds.make(kind, EXPERTS).eval()
    x, ids = kinds.tokens(18, seed=5)
    real = torch.arange(18) % 3 != 1
    padded, bare = route(router, x, ids, real), route(router, x[real], ids[real])
    renumbered = real.nonzero().flatten().tolist()
    left_out = [True] * int(real.sum())
    want = [(renumbered[t], *rest) for t, *rest in rows_of(bare, left_out)]
    got = rows_of(padded, real)
    assert [row[:2] + row[3:] for row in got] == [row[:2] + row[3:] for row in want]
    for a, b in zip(got, want, strict=True):  # weights: a product of another shape
        assert math.isclose(a[2], b[2], rel_tol=1e-5)
