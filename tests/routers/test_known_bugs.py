"""Bugs that other libraries and tutorials have or had, and that this one has not.

Each test names whose bug it is. Where the wrong formula is short it stands beside
ours, so that the test also shows that it would have noticed.
"""

import math

import pytest
import torch

from moe_lib import MoE
from moe_lib.dispatch import reference_moe
from moe_lib.experts import Experts
from moe_lib.routers import (
    ExpertChoiceRouter,
    GShardRouter,
    NoisyTopKRouter,
    SwitchRouter,
    TopKRouter,
)


def everyone_to(expert: int, tokens: int, experts: int) -> torch.Tensor:
    return 9.0 * torch.eye(experts)[expert].repeat(tokens, 1)


# Capacity and slots


def test_transformers_switch_v5_never_enforced_capacity():
    """Its cumulative sum ran over a dimension of length one."""
    routing = SwitchRouter(3, 4, capacity_factor=1.0).route(everyone_to(2, 40, 4))
    assert routing.tokens_per_expert.tolist() == [0, 0, 10, 0]


def test_rounding_up_a_float_gives_a_slot_too_many():
    """Ten tokens for each expert and a tenth more room make 11 slots."""
    assert math.ceil(1.1 * 50 / 5) == 12
    routing = SwitchRouter(3, 5, capacity_factor=1.1).route(torch.zeros(50, 5))
    assert routing.capacity == 11


def test_switch_paper_code_compares_positions_from_1_with_less_than_capacity():
    """Read literally, an expert of capacity 2 serves one token."""
    routing = SwitchRouter(3, 2, capacity_factor=1.0).route(everyone_to(0, 4, 2))
    assert routing.kept.tolist() == [True, True, False, False]
    assert routing.position_in_expert.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("surest_first", [False, True])
def test_deepspeed_topk_drops_everyone_whose_logits_are_negative(surest_first):
    """It ranks logits against the 0 of "not chosen"; here four tokens fit exactly."""
    logits = torch.tensor([[-1.0, -2], [-2, -1], [-1, -2], [-2, -1]])
    router = SwitchRouter(
        3, 2, capacity_factor=1.0, batch_prioritized_routing=surest_first
    )
    for lifted in (logits, logits + 10):
        routing = router.route(lifted)
        assert routing.capacity == 2 and routing.kept.all()


@pytest.mark.parametrize("surest_first", [False, True])
def test_megatron_keeps_arbitrary_tokens_of_a_tie(surest_first):
    """topk over a 0/1 map kept tokens 40..47 of 64."""
    router = SwitchRouter(
        3, 8, capacity_factor=1.0, batch_prioritized_routing=surest_first
    )
    routing = router.route(everyone_to(5, 64, 8))
    assert routing.kept.nonzero().flatten().tolist() == list(range(8))


def test_slots_counted_in_bf16_collide():
    """lucidrains, mesh-tf: a cumulative sum of float masks, in the model's dtype."""
    in_bf16 = torch.ones(600, dtype=torch.bfloat16).cumsum(0)
    assert len(in_bf16.unique()) < 600
    router = SwitchRouter(4, 2, capacity_factor=2.0).bfloat16()
    torch.nn.init.zeros_(router.gate.weight)
    routing = router(torch.randn(600, 4, dtype=torch.bfloat16))
    assert routing.position_in_expert.tolist() == list(range(600))


@pytest.mark.parametrize("router", [SwitchRouter, GShardRouter, ExpertChoiceRouter])
def test_deepspeed_crashes_when_capacity_exceeds_the_tokens(router):
    assert router(3, 2, capacity_factor=100.0).route(torch.randn(3, 2)).kept.any()


@pytest.mark.parametrize("router", [SwitchRouter, GShardRouter])
def test_deepspeed_crashes_without_dropping(router):
    routing = router(3, 2, capacity_factor=None).eval().route(torch.randn(5, 2))
    assert routing.kept.all() and routing.capacity is None


def test_deepspeed_top1_serves_a_random_choice_of_tokens():
    router = SwitchRouter(3, 2, capacity_factor=0.5).train()
    kept = [router.route(everyone_to(0, 16, 2)).kept.tolist() for _ in range(3)]
    assert kept == [[True] * 4 + [False] * 12] * 3


# Choice, weights and noise


def test_torch_topk_breaks_ties_as_it_likes():
    """64 equal logits: topk gave experts 42 and 43; a zero gate is all ties."""
    zeros = torch.zeros(3, 64)
    for router in (TopKRouter(3, 64, top_k=2), GShardRouter(3, 64)):
        assert router.eval().route(zeros).expert_index.tolist() == [0, 1] * 3
    many = TopKRouter(3, 64, top_k=6).route(zeros).expert_index
    assert many.tolist() == [0, 1, 2, 3, 4, 5] * 3
    assert SwitchRouter(3, 64).route(zeros).expert_index.tolist() == [0] * 3
    tied = ExpertChoiceRouter(3, 2, capacity_factor=1 / 16).route(torch.zeros(64, 2))
    assert tied.token_index.tolist() == [0, 1, 0, 1]


def test_a_router_in_bf16_chooses_other_experts():
    """megablocks and others cast the logits before the argmax."""
    router = SwitchRouter(2, 2).bfloat16()
    x = torch.tensor([[1.0, 2**-9]], dtype=torch.bfloat16)
    with torch.no_grad():
        router.gate.weight.copy_(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    assert (x @ router.gate.weight.T).tolist() == [[1.0, 1.0]]
    assert router(x).expert_index.tolist() == [1]


def test_a_single_renormalised_weight_is_1_and_stops_the_gradient():
    logits = torch.randn(7, 4, requires_grad=True)
    values = torch.randn(7)
    only = TopKRouter(3, 4, top_k=1).route(logits).combine_weights
    (dead,) = torch.autograd.grad((only * values).sum(), logits)
    assert only.eq(1).all() and dead.abs().max() < 1e-6
    p = SwitchRouter(3, 4, capacity_factor=None).route(logits).combine_weights
    (alive,) = torch.autograd.grad((p * values).sum(), logits)
    assert alive.abs().max() > 1e-3


def test_deepspeed_top2_renormalises_after_dropping():
    """The survivor of a dropped pair got weight 1; GShard normalises before."""
    logits = torch.tensor([[math.log(3.0), 0.0, -50.0]] * 4)
    router = GShardRouter(3, 3, capacity_factor=0.75, second_expert_policy="all")
    weights = router.route(logits).combine_weights.view(4, 2)
    assert weights[:2].flatten().tolist() == pytest.approx([0.75, 0.25] * 2)
    assert weights[2:].eq(0).all()
    one_left = torch.cat([logits[:2], logits[:2, [1, 0, 2]], logits[:1]])
    routing = router.route(one_left)  # capacity 3; expert 0 has room for token 4
    kept = routing.kept.view(5, 2)
    alone = kept.sum(1) == 1
    assert alone.any()
    weights = routing.combine_weights.view(5, 2)[alone].sum(1)
    assert (weights < 0.8).all()


def test_deepspeed_and_fastmoe_draw_the_second_expert_in_eval():
    router = GShardRouter(3, 4, capacity_factor=None).eval()
    logits = torch.randn(50, 4)
    before = logits.clone()
    assert all(router.route(logits).kept.all() for _ in range(4))
    assert torch.equal(logits, before)  # DeepSpeed adds its noise in place


def test_the_lottery_is_2_times_g2_not_g2_over_a_threshold():
    """mesh-tf and lucidrains: g2 / 0.2, that is 5 times g2."""
    torch.manual_seed(0)
    logits = torch.tensor([[math.log(9.0), 0.0]]).repeat(4000, 1)  # g2 = 0.1
    routing = GShardRouter(3, 2, capacity_factor=None).train().route(logits)
    second = routing.kept.view(4000, 2)[:, 1].double().mean().item()
    assert second == pytest.approx(0.2, abs=0.03)


def test_fastmoe_noisy_gate_divides_by_0_in_eval():
    router = NoisyTopKRouter(3, 4, top_k=2).eval()
    assert router(torch.randn(5, 3)).expected_load.sum() == 10


def test_makemoe_leaves_the_noise_on_in_eval():
    router = NoisyTopKRouter(3, 8, top_k=2)
    torch.nn.init.normal_(router.gate.weight)
    x = torch.randn(200, 3)
    trained = [router(x).expert_index for _ in range(2)]
    assert not torch.equal(*trained)
    router.eval()
    assert torch.equal(router(x).expert_index, router(x).expert_index)


def test_fastmoe_and_the_switch_paper_code_add_the_jitter():
    """One input dimension: a factor scales all logits alike, the best stays best.

    Added to the logits, U[0.5, 1.5] would change the choice of half the tokens.
    """
    torch.manual_seed(0)
    router = SwitchRouter(1, 2, capacity_factor=None, jitter_noise=0.5).train()
    with torch.no_grad():
        router.gate.weight.copy_(torch.tensor([[1.0], [1.1]]))
    x = torch.ones(400, 1)
    routing = router(x)
    added = router.gate(x) + 0.5 + torch.rand(400, 2)
    assert 0.2 < added.argmax(-1).double().mean() < 0.8
    assert routing.expert_index.eq(1).all()
    low, high = (torch.tensor(0.1 * u).sigmoid().item() for u in (0.5, 1.5))
    p = routing.combine_weights
    assert low <= p.min() < low + 0.002 and high - 0.002 < p.max() <= high + 1e-6


def test_transformers_jitters_what_the_experts_see():
    """`hidden_states *= noise` reached the experts, and through a view the caller."""
    moe = MoE(SwitchRouter(4, 2, jitter_noise=0.5), Experts(2, 4, 8)).train()
    x = torch.randn(6, 4)
    before = x.clone()
    y, routing = moe(x)
    assert torch.equal(x, before)
    assert torch.allclose(y, reference_moe(before, routing, moe.experts), atol=1e-6)


def test_labml_and_transformers_pass_dropped_tokens_on():
    """They returned p x (or p LN(x)) inside a residual block."""
    moe = MoE(SwitchRouter(4, 2, capacity_factor=0.5), Experts(2, 4, 8))
    torch.nn.init.zeros_(moe.router.gate.weight)
    y, routing = moe(torch.randn(8, 4))
    assert routing.kept.tolist() == [True] * 2 + [False] * 6
    assert y[2:].eq(0).all() and y[:2].ne(0).any()


# Initialisation


def test_lucidrains_starts_sure_of_itself():
    """A gate drawn from N(0, 1): mean largest probability 0.96 for d_model 512."""
    torch.manual_seed(0)
    x = torch.randn(100, 512)
    sure = (x @ torch.randn(512, 8)).softmax(-1).max(-1).values.mean()
    ours = SwitchRouter(512, 8)(x).router_probs.max(-1).values.mean()
    assert sure > 0.9 and ours < 0.5
    assert NoisyTopKRouter(512, 8, top_k=2)(x).router_probs.eq(1 / 8).all()


def test_experts_are_not_copies_of_one_another():
    for weight in Experts(3, 4, 8, "swiglu").parameters():
        assert not torch.equal(weight[0], weight[1])


def test_an_expert_without_tokens_has_a_gradient_of_0():
    """Separate modules have none at all, and DistributedDataParallel hangs."""
    moe = MoE(SwitchRouter(4, 3, capacity_factor=None), Experts(3, 4, 8))
    torch.nn.init.zeros_(moe.router.gate.weight)  # ties: all to expert 0
    y, _ = moe(torch.randn(5, 4))
    y.sum().backward()
    assert moe.experts.w_in.grad[1:].eq(0).all()
