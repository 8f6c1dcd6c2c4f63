"""Routers on few bits: what rounding changes, and what an island of float32 keeps."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from moe_lib.course.island_cost import (
    island_cost,
    route_in_bfloat16,
    route_in_float32,
)
from moe_lib.course.precision import (
    Bfloat16Router,
    Probe,
    by_scale,
    compare,
    in_bfloat16,
    probabilities,
    probe,
    rounded_logits,
    trained_in_bfloat16,
)
from moe_lib.course.switch_runs import switch_trainer
from moe_lib.course.switch_setup import Setup
from moe_lib.data.domain_text import DomainText
from moe_lib.routers import SwitchRouter

SMALL = Setup(num_experts=4, d_model=16, d_ff=16, tokens=128, steps=2, warmup=1)


def seen(tokens=400, d=16, experts=8, seed=0):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(tokens, d, generator=draw)
    weight = torch.randn(experts, d, generator=draw)
    return Probe(x, weight, SwitchRouter(d, experts).route(x @ weight.T))


def text():
    draw = torch.Generator().manual_seed(0)
    train, held = (
        torch.randint(256, (2, n), generator=draw, dtype=torch.uint8)
        for n in (4000, 9000)
    )
    return DomainText(train, held, ("a", "b"), ("", ""))


@given(seed=st.integers(0, 999), size=st.sampled_from([0.1, 1.0, 10.0]))
def test_an_expert_changes_only_where_the_error_reaches_half_the_margin(seed, size):
    found = rounded_logits(size * seen(seed=seed).logits)
    least = found.margin[found.changed] / 2
    assert (found.error[found.changed] >= least - 1e-6).all()
    assert (found.margin >= 0).all() and (found.error >= 0).all()


def test_rounding_moves_a_known_probability():
    # 256 + 1 is not a bf16 number: the two logits become one
    found = rounded_logits(torch.tensor([[256.0, 257.0]]))
    exact = torch.tensor([256.0, 257.0]).softmax(dim=0)
    assert found.changed.tolist() == [True]
    assert found.error.item() == pytest.approx(exact[1].item() - 0.5, abs=1e-3)
    assert found.margin.item() == pytest.approx((exact[1] - exact[0]).item())


def test_float32_loses_nothing_and_inside_loses_less_than_bf16_everywhere():
    found = by_scale(seen(), (1, 8))
    for at in (0, 1):
        assert found["float32"][at].error.max() == 0
        errors = [found[p][at].error.mean().item() for p in ("island", "bfloat16")]
        assert 0 < errors[0] < errors[1]
    assert found["bfloat16"][0].error.max() < found["bfloat16"][1].error.max()
    with pytest.raises(ValueError, match="policy='int8': choose one of float32"):
        probabilities(seen().x, seen().weight, "int8")


def test_powers_of_two_cancel_in_the_logits_but_not_in_the_softmax():
    """bf16 rounds relative to size, so scaled logits keep their order's slips."""
    logits = seen().logits
    order = [(s * logits).bfloat16().argmax(dim=1) for s in (1, 8)]
    assert order[0].equal(order[1])


def test_the_bf16_router_holds_rounded_values_and_a_gradient():
    router = Bfloat16Router(16, 8, capacity_factor=None)
    x = seen().x
    routing = router(x)
    logits = torch.nn.functional.linear(x.bfloat16(), router.gate.weight.bfloat16())
    assert routing.router_logits.dtype == torch.float32
    assert routing.router_logits.equal(logits.float())
    expected = logits.softmax(dim=1).float()
    assert routing.router_probs.equal(expected)
    assert routing.combine_weights.equal(expected.amax(dim=1))
    routing.combine_weights.sum().backward()
    assert router.gate.weight.grad.abs().sum() > 0


def test_the_library_s_router_keeps_its_island_under_autocast():
    router = SwitchRouter(16, 8, capacity_factor=None)
    x = seen().x.bfloat16()
    with in_bfloat16():
        routing = router(x)
    assert routing.router_logits.equal(x.float() @ router.gate.weight.T)


def test_a_probe_sees_what_the_router_sees_and_leaves_no_hook():
    model = switch_trainer(SMALL, text()).model.train()
    found = probe(model, text(), SMALL.span)
    assert found.x.shape == (64 * 64, 16) and found.weight.shape == (4, 16)
    torch.testing.assert_close(found.logits, found.x @ found.weight.T)
    assert found.choice.equal(found.logits.argmax(dim=1))
    assert model.training
    assert not any(part._forward_pre_hooks for part in model.modules())
    dense = switch_trainer(SMALL.but(router="dense"), text()).model
    with pytest.raises(ValueError, match="the model has no router: give one"):
        probe(dense, text(), SMALL.span)


def test_training_in_bf16_multiplies_in_bf16_and_keeps_float32_weights():
    seen_dtypes = []
    trainer = switch_trainer(SMALL, text(), wrap=trained_in_bfloat16)
    first = next(p for p in trainer.model.modules() if isinstance(p, torch.nn.Linear))
    hook = first.register_forward_hook(lambda *a: seen_dtypes.append(a[-1].dtype))
    trainer.run(1)
    hook.remove()
    assert seen_dtypes == [torch.bfloat16]
    assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}


def test_the_island_answers_like_the_exercise_and_its_cost_is_told():
    s = seen()
    x, weight = s.x.bfloat16(), s.weight.bfloat16()
    best, expert = route_in_float32(x, weight)
    assert best.dtype == torch.bfloat16
    assert expert.equal((x.float() @ weight.float().T).argmax(dim=1))
    found = compare(probabilities(x, weight, "float32"),
                    probabilities(x, weight, "bfloat16"))  # fmt: skip
    agrees = expert == route_in_bfloat16(x, weight)[1]
    assert agrees.equal(~found.changed)
    table = island_cost(s, repeats=4)
    assert repr(table) == "what the island costs 400 tokens"
    inside, sent = zip(*(row[2:] for row in table.rows), strict=True)
    assert inside == ("6,400", f"{4 * 400 * (16 + 8):,}") and len(set(sent)) == 1
    with pytest.raises(ValueError, match="repeats=1: give a whole number"):
        island_cost(s, repeats=1)
