"""No-Token-Left-Behind: against a plain loop, and what it promises."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lib import MoE
from moe_lib.course.left_behind import NoTokenLeftBehindRouter, first_choice_loss
from moe_lib.experts import Experts
from moe_lib.losses import load_balancing_loss
from moe_lib.routers import SwitchRouter
from oracles.arithmetic import best_first, slots_per_expert, softmax
from oracles.draws import cases
from oracles.tables import is_real

FACTORS = st.sampled_from([0.25, 0.5, 1.0, 1.25, 2.0])
EVERY = settings(deadline=None, max_examples=100)


def sent_on(logits, capacity, tokens, mask):
    """Token -> the expert that takes it, or None: round after round, in order."""
    ranks = {t: best_first(logits[t], len(logits[0])) for t in tokens}
    free = [capacity] * len(logits[0])
    taker = {t: None for t in tokens}
    for choice in range(len(free)):
        for t in tokens:
            asked = ranks[t][choice]
            if is_real(mask, t) and taker[t] is None and free[asked]:
                taker[t] = asked
                free[asked] -= 1
    return taker


def routed(case, factor):
    router = NoTokenLeftBehindRouter(
        3, case.num_experts, capacity_factor=factor, group_size=case.group_size
    )
    return router.route(case.tensor, case.token_mask)


def groups_of(case):
    size = case.tokens_in_group
    return [range(a, a + size) for a in range(0, case.num_tokens, max(1, size))]


@EVERY
@given(cases(groups=True), FACTORS)
def test_it_sends_everyone_where_the_plain_loop_does(case, factor):
    table = routed(case, factor)
    capacity = slots_per_expert(factor, 1, case.tokens_in_group, case.num_experts)
    assert table.capacity == capacity
    for tokens in groups_of(case):
        taker = sent_on(case.logits, capacity, tokens, case.mask)
        for t in tokens:
            assert table.kept[t] == (taker[t] is not None)
            weight = 0.0
            if taker[t] is not None:
                assert table.expert_index[t] == taker[t]
                weight = softmax(case.logits[t])[taker[t]]
            assert table.combine_weights[t].item() == pytest.approx(weight, rel=1e-5)


@EVERY
@given(cases(groups=True), FACTORS)
def test_nobody_is_dropped_while_a_place_is_free(case, factor):
    table = routed(case, factor)
    real = table.real_rows
    for tokens in groups_of(case):
        rows = torch.tensor(list(tokens), dtype=torch.int64)
        kept = rows[table.kept[rows]]
        served = table.expert_index[kept].bincount(minlength=case.num_experts)
        assert (served <= table.capacity).all()
        dropped = int(real[rows].sum()) - len(kept)
        assert dropped == 0 or (served == table.capacity).all()
        assert dropped == 0 or factor < 1
        slots = list(
            zip(
                table.expert_index[kept].tolist(),
                table.position_in_expert[kept].tolist(),
                strict=True,
            )
        )
        assert len(set(slots)) == len(slots)
        assert all(slot < table.capacity for _, slot in slots)


@EVERY
@given(cases(groups=True), FACTORS)
def test_whom_switch_keeps_stays_where_switch_sent_him(case, factor):
    table = routed(case, factor)
    router = SwitchRouter(
        3, case.num_experts, capacity_factor=factor, group_size=case.group_size
    )
    switch = router.route(case.tensor, case.token_mask)
    assert table.kept[switch.kept].all()
    for name in ("expert_index", "combine_weights"):
        ours, theirs = getattr(table, name), getattr(switch, name)
        assert torch.equal(ours[switch.kept], theirs[switch.kept])
    assert torch.equal(table.router_probs, switch.router_probs)


def test_with_room_for_all_it_is_switch():
    torch.manual_seed(0)
    ours = NoTokenLeftBehindRouter(4, 3, capacity_factor=1, eval_capacity_factor=3)
    switch = SwitchRouter(4, 3, capacity_factor=None)
    switch.load_state_dict(ours.state_dict())
    x = torch.randn(40, 4)
    tables = [router.eval()(x) for router in (ours, switch)]
    for name in ("expert_index", "kept", "combine_weights", "position_in_expert"):
        a, b = (getattr(table, name) for table in tables)
        assert torch.equal(a, b), name
    open_ended = NoTokenLeftBehindRouter(4, 3, capacity_factor=None)
    assert open_ended.route(tables[0].router_logits).kept.all()


def test_the_probability_of_the_expert_that_takes_a_token_learns():
    """Two tokens want expert 0, which has one place."""
    logits = torch.tensor([[2.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    logits.requires_grad_()
    table = NoTokenLeftBehindRouter(3, 2).route(logits)
    assert table.expert_index.tolist() == [0, 1]
    (slope,) = torch.autograd.grad(table.combine_weights[1], logits)
    p = logits.detach()[1].softmax(0)
    want = p[1] * (torch.tensor([0.0, 1.0]) - p)
    assert torch.allclose(slope[1], want) and not slope[0].any()


def test_a_layer_with_it_gives_everyone_an_output():
    torch.manual_seed(0)
    layer = MoE(NoTokenLeftBehindRouter(4, 8), Experts(8, 4, 16))
    x = torch.randn(64, 4)
    y, table = layer(x)
    assert (y != 0).any(dim=1).all() and table.drop_fraction == 0
    assert (
        SwitchRouter(4, 8, capacity_factor=1).route(table.router_logits).drop_fraction
        > 0
    )


def test_the_loss_counts_what_was_wanted():
    """All want expert 0; sent on they fill all experts alike."""
    logits = torch.tensor([[4.0, 0.0, 0.0, 0.0]]).repeat(8, 1)
    table = NoTokenLeftBehindRouter(3, 4).route(logits)
    assert load_balancing_loss(table).item() == pytest.approx(1)
    wanted = 4 * table.router_probs[0, 0].item()
    assert first_choice_loss(table).item() == pytest.approx(wanted)
    switch = SwitchRouter(3, 4, capacity_factor=1).route(logits)
    assert first_choice_loss(switch) == load_balancing_loss(switch)


@EVERY
@given(cases(groups=True))
def test_the_losses_agree_where_nothing_is_sent_on(case):
    table = SwitchRouter(3, case.num_experts, group_size=case.group_size).route(
        case.tensor, case.token_mask
    )
    assert first_choice_loss(table) == load_balancing_loss(table)
    same = replace(table, kept=~table.kept)  # dropping counts in neither
    assert first_choice_loss(same) == first_choice_loss(table)
