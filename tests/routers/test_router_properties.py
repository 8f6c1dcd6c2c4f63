"""What every routing promises, whichever router made it."""

from dataclasses import fields

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import router_kinds as kinds
from moe_lib.losses import (
    importance_loss,
    load_balancing_loss,
    router_z_loss,
)
from moe_lib.routers import (
    NoisyTopKRouter,
    TopKRouter,
)
from router_kinds import route

EVERY = pytest.mark.parametrize("kind", kinds.ALL)
EXPERTS = 4


def same(one, two) -> bool:
    """Bit for bit the same routing."""
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(two, field.name)
        if isinstance(a, torch.Tensor) != isinstance(b, torch.Tensor):
            return False
        if not (torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b):
            return False
    return True


@pytest.mark.parametrize("kind", kinds.CAPPED)
@settings(deadline=None, max_examples=15)
@given(st.integers(0, 999), st.sampled_from([6, 12, 18]), st.integers(2, 6))
def test_no_buffer_holds_more_than_its_capacity(kind, seed, tokens, experts):
    router = kinds.make(kind, experts, seed)
    routing = route(router, *kinds.tokens(tokens, seed))
    size = routing.group_size or tokens
    seen = set()
    for token, expert, slot, kept in zip(
        routing.token_index.tolist(),
        routing.expert_index.tolist(),
        routing.position_in_expert.tolist(),
        routing.kept.tolist(),
        strict=True,
    ):
        place = (token // size, expert, slot)
        assert place not in seen  # no two rows claim one place, kept or not
        seen.add(place)
        assert not kept or 0 <= slot < routing.capacity
    most = routing.capacity * (tokens // size)
    assert routing.tokens_per_expert.max() <= most


@EVERY
def test_two_calls_in_eval_are_bit_equal(kind):
    router = kinds.make(kind, EXPERTS).eval()
    x, ids = kinds.tokens(12)
    assert same(route(router, x, ids), route(router, x, ids))


@pytest.mark.parametrize("kind", ["noisy_top_k", "switch", "gshard"])
def test_noise_is_for_training_only(kind):
    router = kinds.make(kind, EXPERTS)
    x, ids = kinds.tokens(60)
    trained = [route(router, x, ids) for _ in range(2)]
    assert not same(*trained)  # there is noise
    clean = router.gate(x)
    for routing in (*trained, route(router.eval(), x, ids)):
        assert torch.equal(routing.router_logits, clean)  # and none beside the table
        assert torch.equal(routing.router_probs, clean.softmax(-1))
    assert same(route(router, x, ids), router.route(clean))


@EVERY
def test_nothing_given_is_changed(kind):
    router = kinds.make(kind, EXPERTS)
    x, ids = kinds.tokens(12)
    mask = torch.arange(12) != 3
    x.requires_grad_()
    logits, noisy = (torch.randn(12, router.gate_width) for _ in range(2))
    given_tensors = [x, ids, mask, logits, noisy]
    given_tensors += [*router.parameters(), *router.buffers()]
    before = [tensor.detach().clone() for tensor in given_tensors]
    version = [tensor._version for tensor in given_tensors]
    routing = route(router, x, ids, mask)
    if kind != "hash":  # which has nothing to learn
        routing.combine_weights.sum().backward()
    router.route(logits, mask, noisy_logits=noisy)
    assert [tensor._version for tensor in given_tensors] == version
    for now, then in zip(given_tensors, before, strict=True):
        assert torch.equal(now, then)


@EVERY
def test_routing_is_in_float32_within_a_bf16_model(kind):
    router = kinds.make(kind, EXPERTS).bfloat16().eval()
    x, ids = kinds.tokens(12)
    x = x.bfloat16()
    plain = route(router, x, ids)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = route(router, x, ids)
    for name in ("router_logits", "router_probs", "combine_weights"):
        assert getattr(plain, name).dtype == torch.float32
    assert same(plain, inside)
    if kind not in ("hash", "hierarchical"):
        exact = x.double() @ router.gate.weight.double().T
        assert torch.allclose(plain.router_logits.double(), exact, atol=1e-5)
        assert not torch.allclose(exact.bfloat16().double(), exact, atol=1e-5)


@EVERY
def test_float64_stays_float64(kind):
    router = kinds.make(kind, EXPERTS).double()
    x, ids = kinds.tokens(12)
    routing = route(router, x.double(), ids)
    assert routing.router_probs.dtype == torch.float64
    assert routing.combine_weights.dtype == torch.float64


@pytest.mark.parametrize("kind", kinds.DROPLESS)
def test_permuting_tokens_permutes_the_weights(kind):
    router = kinds.make(kind, EXPERTS).eval()
    x, ids = kinds.tokens(15)
    order = torch.randperm(15, generator=torch.Generator().manual_seed(0))
    weights = route(router, x, ids).dense()
    permuted = route(router, x[order], ids[order]).dense()
    assert torch.allclose(permuted, weights[order], atol=1e-6)


@EVERY
def test_an_empty_batch_is_an_empty_table(kind):
    for training in (True, False):
        router = kinds.make(kind, EXPERTS).train(training)
        x, ids = kinds.tokens(0)
        routing = route(router, x, ids)
        assert routing.tokens_per_expert.tolist() == [0] * EXPERTS
        assert routing.dense().shape == (0, EXPERTS)
        assert len(routing.token_index) == 0
        for loss in (load_balancing_loss, router_z_loss, importance_loss):
            assert loss(routing) == 0
        assert routing.drop_fraction == 0


@pytest.mark.parametrize(
    "kind", ["switch_groups", "gshard_groups", "expert_choice_groups"]
)
def test_tokens_that_fill_no_group_are_refused(kind):
    router = kinds.make(kind, EXPERTS)
    with pytest.raises(ValueError, match=r"\b13\b.*\b6\b|\b6\b.*\b13\b") as caught:
        route(router, *kinds.tokens(13))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("router", [TopKRouter, NoisyTopKRouter])
def test_more_choices_than_experts_are_refused(router):
    with pytest.raises(ValueError, match="top_k=5"):
        router(3, 4, top_k=5)
