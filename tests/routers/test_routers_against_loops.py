"""Every router's table against the loop that transcribes its paper."""

from dataclasses import replace

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from moe_lib.routers import (
    ExpertChoiceRouter,
    GShardRouter,
    HashRouter,
    SoftmaxGate,
    SwitchRouter,
    TopKRouter,
)
from oracles import expert_choice, token_choice
from oracles.arithmetic import best_first, ceil_exactly, slots_per_expert, softmax
from oracles.draws import FACTORS, LIMITS, cases, matrices
from oracles.tables import assert_clean_probs, assert_same_table, in_groups

SEEDS = st.integers(0, 2**31)


def many(examples: int):
    return settings(deadline=None, max_examples=examples)


@many(60)
@given(cases())
def test_softmax_gate(case):
    routing = SoftmaxGate(3, case.num_experts).route(case.tensor, case.token_mask)
    assert_clean_probs(routing, case.logits)
    assert_same_table(routing, token_choice.softmax_gate(case.logits, case.mask))
    assert routing.capacity is None


@many(120)
@given(cases(), st.data())
def test_top_k(case, data):
    k = data.draw(st.integers(1, case.num_experts))
    router = TopKRouter(3, case.num_experts, top_k=k).eval()
    routing = router.route(case.tensor, case.token_mask)
    assert_clean_probs(routing, case.logits)
    assert_same_table(routing, token_choice.keep_top_k(case.logits, k, case.mask))
    assert routing.capacity is None


@many(150)
@given(cases(min_experts=2, groups=True), LIMITS, SEEDS)
def test_gshard(case, limits, seed):
    """The lottery draws one ``torch.rand`` per token, ``[T]``, in training only."""
    router = GShardRouter(3, case.num_experts, **limits.arguments(case))
    router.train(limits.training)
    torch.manual_seed(seed)
    routing = router.route(case.tensor, case.token_mask)
    torch.manual_seed(seed)
    rnd = torch.rand(case.num_tokens).tolist() if limits.training else None
    capacity = limits.capacity(2, case)
    priority = None
    if limits.batch_prioritized_routing:
        priority = routing.router_probs.tolist()

    def one_group(tokens):
        return token_choice.gshard(
            case.logits,
            capacity,
            tokens,
            rnd=rnd,
            mask=case.mask,
            priority=priority,
        )[0]

    assume(rnd is None or not lottery_is_close(case.logits, rnd))
    assert_clean_probs(routing, case.logits)
    assert (routing.capacity, routing.group_size) == (capacity, case.group_size)
    assert_same_table(routing, in_groups(one_group, case.num_tokens, case.group_size))


def lottery_is_close(logits, rnd) -> bool:
    """Some 2 g2 is so near its number that float32 may see them the other way."""
    pairs = (softmax(sorted(row)[-2:]) for row in logits)
    return any(abs(2 * g2 - r) < 1e-6 for (g2, _), r in zip(pairs, rnd, strict=True))


@many(40)
@given(cases(min_experts=2, groups=True))
def test_gshard_without_a_lottery(case):
    always = GShardRouter(
        3, case.num_experts, group_size=case.group_size, second_expert_policy="all"
    )
    assert always.training
    routing = always.route(case.tensor, case.token_mask)
    capacity = slots_per_expert(1.0, 2, case.tokens_in_group, case.num_experts)

    def one_group(tokens):
        return token_choice.gshard(case.logits, capacity, tokens, mask=case.mask)[0]

    assert routing.capacity == capacity
    assert_same_table(routing, in_groups(one_group, case.num_tokens, case.group_size))


@many(150)
@given(cases(groups=True), LIMITS, st.data())
def test_switch(case, limits, data):
    router = SwitchRouter(3, case.num_experts, **limits.arguments(case))
    router.train(limits.training)
    noisy = None
    if limits.training:
        noisy = data.draw(st.none() | matrices(case.num_tokens, case.num_experts))
    routing = router.route(
        case.tensor,
        case.token_mask,
        noisy_logits=None if noisy is None else torch.tensor(noisy),
    )
    capacity = limits.capacity(1, case)
    priority = None
    if limits.batch_prioritized_routing:
        sure = torch.tensor(noisy).softmax(-1) if noisy else routing.router_probs
        priority = sure.tolist()

    def one_group(tokens):
        return token_choice.switch(
            case.logits,
            capacity,
            tokens,
            choose_by=noisy,
            mask=case.mask,
            priority=priority,
        )

    assert_clean_probs(routing, case.logits)
    assert (routing.capacity, routing.group_size) == (capacity, case.group_size)
    assert_same_table(routing, in_groups(one_group, case.num_tokens, case.group_size))


@many(80)
@given(st.data(), st.integers(1, 5), st.integers(1, 8), st.booleans(), SEEDS)
def test_hash(data, experts, vocabulary, balanced, seed):
    ids = data.draw(st.lists(st.integers(0, vocabulary - 1), max_size=9))
    mask = data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))
    counts = None
    if balanced:
        how_often = st.lists(
            st.integers(0, 4), min_size=vocabulary, max_size=vocabulary
        )
        counts = data.draw(how_often)
    router = HashRouter(3, experts, vocabulary, seed=seed, counts=counts)
    again = HashRouter(3, experts, vocabulary, seed=seed, counts=counts)
    expert_of = router.expert_of_token.tolist()
    assert expert_of == again.expert_of_token.tolist()
    assert all(0 <= e < experts for e in expert_of)
    if balanced:
        assert expert_of == token_choice.balanced_hash(counts, experts)
    routing = router(
        torch.randn(len(ids), 3),
        token_mask=torch.tensor(mask, dtype=torch.bool),
        token_ids=torch.tensor(ids, dtype=torch.int64),
    )
    assert_same_table(routing, token_choice.hashed(ids, expert_of, mask), 0)
    one_hot = [[float(expert_of[i] == e) for e in range(experts)] for i in ids]
    assert routing.router_probs.tolist() == one_hot


@many(40)
@given(cases())
def test_hash_from_logits_takes_the_largest(case):
    routing = HashRouter(3, case.num_experts, 5).route(case.tensor, case.token_mask)
    best = [best_first(row, 1)[0] for row in case.logits]
    rows = token_choice.hashed(range(case.num_tokens), best, case.mask)
    assert_same_table(routing, rows, 0)


@many(120)
@given(cases(groups=True), FACTORS)
def test_expert_choice(case, factor):
    router = ExpertChoiceRouter(
        3, case.num_experts, capacity_factor=factor, group_size=case.group_size
    )
    routing = router.route(case.tensor, case.token_mask)
    size = case.tokens_in_group
    capacity = min(size, ceil_exactly(factor, size, case.num_experts))
    probs = routing.router_probs.tolist()

    def one_group(tokens):
        return expert_choice.expert_choice(probs, capacity, tokens, case.mask)

    rows = in_groups(one_group, case.num_tokens, case.group_size)
    assert_clean_probs(routing, case.logits)
    assert (routing.capacity, routing.group_size) == (capacity, case.group_size)
    assert len(routing.kept) == len(rows)
    assert_same_table(only_kept(routing), [row for row in rows if row.kept])
    assert routing.kept.tolist() == [row.kept for row in rows]
    assert routing.combine_weights[~routing.kept].eq(0).all()


def only_kept(routing):
    """The table without its empty slots, whose token stands for nothing."""
    rows = {
        name: getattr(routing, name)[routing.kept]
        for name in ("token_index", "expert_index", "combine_weights", "kept",
                     "position_in_expert")
    }  # fmt: skip
    return replace(routing, **rows)
