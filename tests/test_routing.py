"""The routing table against the obvious loop."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lib import Routing
from moe_lib.routers import SoftmaxGate


def random_routing(seed: int, tokens: int, experts: int, rows: int) -> Routing:
    draw = torch.Generator().manual_seed(seed)
    token_index = torch.randint(tokens, (rows,), generator=draw)
    expert_index = torch.randint(experts, (rows,), generator=draw)
    kept = torch.rand(rows, generator=draw) < 0.7
    logits = torch.randn(tokens, experts, generator=draw)
    return Routing(
        token_index=token_index,
        expert_index=expert_index,
        combine_weights=torch.rand(rows, generator=draw) * kept,
        kept=kept,
        position_in_expert=torch.zeros(rows, dtype=torch.int64),
        router_logits=logits,
        router_probs=logits.softmax(-1),
        capacity=3,
    )


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 6), st.integers(1, 40))
def test_derived_columns_equal_the_loop(seed, tokens, experts, rows):
    routing = random_routing(seed, tokens, experts, rows)
    dense = torch.zeros(tokens, experts)
    served, asked = [0] * experts, [0] * experts
    for t, e, w, k in zip(
        routing.token_index.tolist(),
        routing.expert_index.tolist(),
        routing.combine_weights.tolist(),
        routing.kept.tolist(),
        strict=True,
    ):
        dense[t, e] += w
        asked[e] += 1
        served[e] += k
    assert torch.allclose(routing.dense(), dense)
    assert routing.tokens_per_expert.tolist() == served
    assert routing.demand_per_expert.tolist() == asked
    assert routing.drop_fraction.item() == pytest.approx(1 - sum(served) / rows)
    assert (routing.num_tokens, routing.num_experts) == (tokens, experts)


def test_softmax_gate_sends_every_token_to_every_expert():
    gate = SoftmaxGate(3, 4, bias=True)
    routing = gate(torch.randn(5, 3))
    assert len(routing.token_index) == 20
    assert torch.equal(routing.dense(), routing.router_probs)
    assert torch.equal(routing.tokens_per_expert, torch.full((4,), 5))
    assert routing.drop_fraction == 0 and routing.capacity is None
    for e in range(4):  # each buffer is filled in order of arrival
        slots = routing.position_in_expert[routing.expert_index == e]
        assert slots.tolist() == [0, 1, 2, 3, 4]


def test_gradient_reaches_the_gate_through_the_table():
    gate = SoftmaxGate(3, 4)
    routing = gate(torch.randn(5, 3))
    values = torch.randn(5, 4)
    (via_table,) = torch.autograd.grad(
        (routing.dense() * values).sum(), gate.gate.weight, retain_graph=True
    )
    (direct,) = torch.autograd.grad(
        (routing.router_probs * values).sum(), gate.gate.weight
    )
    assert torch.allclose(via_table, direct)


def test_router_arithmetic_is_float32_in_a_half_precision_model():
    gate = SoftmaxGate(8, 4).bfloat16()
    routing = gate(torch.randn(6, 8, dtype=torch.bfloat16))
    assert routing.router_probs.dtype == torch.float32
    assert gate.double()(torch.randn(6, 8).double()).router_probs.dtype == torch.float64


def test_route_is_a_function_of_the_logits_alone():
    gate = SoftmaxGate(3, 4)
    logits = torch.randn(5, 4)
    before = logits.clone()
    assert torch.equal(gate.route(logits).dense(), gate.route(logits).dense())
    assert torch.equal(logits, before)


def test_everything_runs_on_meta():
    gate = SoftmaxGate(3, 4, bias=True).to("meta")
    routing = gate(torch.empty(5, 3, device="meta"))
    routing.dense().sum().backward()
    assert routing.tokens_per_expert.device.type == "meta"
    assert gate.gate.weight.grad.shape == (4, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SoftmaxGate(3, 0), "num_experts=0: give a whole number of at least 1"),
        (lambda: SoftmaxGate(2.5, 4), "d_model=2.5: give a whole number"),
        (lambda: SoftmaxGate(3, 4)(torch.randn(5, 2)), "2 columns .* built for 3"),
        (
            lambda: SoftmaxGate(3, 4)(torch.randn(3)),
            r"shape \[3\]: give two dimensions",
        ),
        (lambda: SoftmaxGate(3, 4)(torch.ones(5, 3).long()), "int64: convert"),
        (lambda: SoftmaxGate(3, 4)([1.0]), "x is a list: give a torch.Tensor"),
    ],
)
def test_bad_input_names_value_and_remedy(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_padding_is_in_no_derived_column():
    mask = torch.tensor([True, False, True])
    routing = Routing(
        token_index=torch.tensor([0, 0, 1, 1, 2, 2]),
        expert_index=torch.tensor([0, 1, 0, 1, 1, 2]),
        combine_weights=torch.tensor([0.7, 0.0, 0.0, 0.0, 0.6, 0.4]),
        kept=torch.tensor([True, False, False, False, True, True]),
        position_in_expert=torch.tensor([0, 1, 0, 1, 0, 0]),
        router_logits=torch.zeros(3, 3),
        router_probs=torch.full((3, 3), 1 / 3),
        capacity=1,
        token_mask=mask,
    )
    assert routing.real_rows.tolist() == [True, True, False, False, True, True]
    assert routing.demand_per_expert.tolist() == [1, 2, 1]
    assert routing.tokens_per_expert.tolist() == [1, 1, 1]
    assert routing.drop_fraction.item() == pytest.approx(1 / 4)
    assert routing.dense()[1].eq(0).all()


def test_the_gate_of_1991_leaves_padding_out():
    gate = SoftmaxGate(3, 2)
    x, mask = torch.randn(4, 3), torch.tensor([True, False, True, True])
    routing = gate(x, mask)
    assert routing.tokens_per_expert.tolist() == [3, 3]
    assert routing.drop_fraction == 0
    assert torch.equal(routing.dense()[mask], gate(x[mask]).dense())
    assert routing.dense()[1].eq(0).all()
    slots = routing.position_in_expert[routing.kept]
    assert slots.tolist() == [0, 0, 1, 1, 2, 2]
