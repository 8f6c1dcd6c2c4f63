"""What the layer promises, whichever router decides."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import router_kinds as kinds
from moe_lib import MoE
from moe_lib.experts import Experts
from moe_lib.routers import (
    GShardRouter,
    SwitchRouter,
)

EVERY = pytest.mark.parametrize("kind", kinds.ALL)
D, EXPERTS, D_FF = kinds.D_MODEL, 4, 12
ONE_EXPERT = [  # GShard needs two, and the tree of the hierarchical router as well
    "softmax", "noisy_top_k", "top_k", "hash", "switch_dropless", "switch",
    "expert_choice_groups",
]  # fmt: skip


def make(kind: str, experts: int = EXPERTS) -> MoE:
    router = kinds.make(kind, experts)
    return MoE(router, Experts(experts, D, D_FF, "swiglu"))


def dense_ffn(experts: Experts, x: torch.Tensor) -> torch.Tensor:
    hidden = x @ experts.w_in[0]
    if experts.activation == "swiglu":
        hidden = F.silu(x @ experts.w_gate[0]) * hidden
    else:
        hidden = {"relu": F.relu, "gelu": F.gelu}[experts.activation](hidden)
    return hidden @ experts.w_out[0]


@pytest.mark.parametrize("activation", ["relu", "gelu", "swiglu"])
@pytest.mark.parametrize("kind", ONE_EXPERT)
def test_one_expert_is_the_dense_network(kind, activation):
    experts = Experts(1, D, D_FF, activation).double()
    moe = MoE(kinds.make(kind, 1).double(), experts)
    x, ids = kinds.tokens(12)
    ours, theirs = (x.double().requires_grad_() for _ in range(2))
    y, _ = moe(ours, token_ids=ids)
    want = dense_ffn(experts, theirs)
    assert torch.allclose(y, want, rtol=0, atol=1e-12)
    weights = list(experts.parameters())
    pull = torch.randn_like(want)
    got = torch.autograd.grad((y * pull).sum(), [ours, *weights])
    truth = torch.autograd.grad((want * pull).sum(), [theirs, *weights])
    for a, b in zip(got, truth, strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-12)


@EVERY
def test_a_token_without_a_kept_row_gets_exactly_0(kind):
    moe = make(kind)
    x, ids = kinds.tokens(18)
    mask = torch.arange(18) != 4
    y, routing = moe(x, token_mask=mask, token_ids=ids)
    served = torch.zeros(18, dtype=torch.bool)
    served[routing.token_index[routing.kept]] = True
    assert not served[4]
    if kind in kinds.CAPPED:
        assert served.sum() < 17  # some real token was dropped as well
    assert y[~served].eq(0).all()
    assert y[served].ne(0).any(dim=-1).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 12), st.integers(2, 6), st.integers(0, 999))
def test_a_capacity_large_enough_is_none(tokens, experts, seed):
    torch.manual_seed(seed)
    bank = Experts(experts, D, D_FF)
    x = torch.randn(tokens, D)
    for kind in (SwitchRouter, GShardRouter):
        router = kind(D, experts, capacity_factor=float(experts)).eval()
        free = kind(D, experts, capacity_factor=None).eval()
        free.load_state_dict(router.state_dict())
        (one, _), (two, _) = MoE(router, bank)(x), MoE(free, bank)(x)
        assert torch.allclose(one, two, atol=1e-6)


@EVERY
def test_two_calls_in_eval_are_bit_equal(kind):
    moe = make(kind).eval()
    x, ids = kinds.tokens(18)
    (one, _), (two, _) = (moe(x, token_ids=ids) for _ in range(2))
    assert torch.equal(one, two)


@EVERY
def test_padding_changes_nothing_for_the_others(kind):
    moe = make(kind).eval()
    x, ids = kinds.tokens(18)
    real = torch.arange(18) % 3 != 1
    other = torch.where(real[:, None], x, torch.full_like(x, 50.0))
    other_ids = torch.where(real, ids, torch.zeros_like(ids))
    one, _ = moe(x, token_mask=real, token_ids=ids)
    two, _ = moe(other, token_mask=real, token_ids=other_ids)
    assert torch.allclose(one, two, atol=1e-6)
    assert two[~real].eq(0).all()
    if kind in kinds.DROPLESS:
        bare, _ = moe(x[real], token_ids=ids[real])
        assert torch.allclose(one[real], bare, atol=1e-6)


@EVERY
def test_padding_gets_no_gradient_and_gives_none(kind):
    moe = make(kind).eval()
    x, ids = kinds.tokens(18)
    x.requires_grad_()
    real = torch.arange(18) % 3 != 1
    y, _ = moe(x, token_mask=real, token_ids=ids)
    y.square().sum().backward()
    assert x.grad[~real].eq(0).all()
    assert x.grad[real].ne(0).any()


@pytest.mark.parametrize("kind", kinds.DROPLESS)
def test_permuting_tokens_permutes_outputs(kind):
    moe = make(kind).eval()
    x, ids = kinds.tokens(18)
    order = torch.randperm(18, generator=torch.Generator().manual_seed(0))
    y, _ = moe(x, token_ids=ids)
    permuted, _ = moe(x[order], token_ids=ids[order])
    assert torch.allclose(permuted, y[order], atol=1e-6)


@EVERY
def test_nothing_given_is_changed(kind):
    moe = make(kind)
    x, ids = kinds.tokens(18)
    mask = torch.arange(18) != 3
    x.requires_grad_()
    given_tensors = [x, ids, mask, *moe.parameters(), *moe.buffers()]
    before = [tensor.detach().clone() for tensor in given_tensors]
    versions = [tensor._version for tensor in given_tensors]
    y, _ = moe(x, token_mask=mask, token_ids=ids)
    y.square().sum().backward()
    assert [tensor._version for tensor in given_tensors] == versions
    for now, then in zip(given_tensors, before, strict=True):
        assert torch.equal(now, then)


@EVERY
def test_leading_dimensions_are_the_callers(kind):
    moe = make(kind).eval()
    x, ids = kinds.tokens(18)
    mask = torch.arange(18) != 3
    flat, _ = moe(x, token_mask=mask, token_ids=ids)
    shaped, _ = moe(
        x.view(3, 6, D), token_mask=mask.view(3, 6), token_ids=ids.view(3, 6)
    )
    assert torch.equal(shaped, flat.view(3, 6, D))


@EVERY
def test_in_a_bf16_model_only_the_router_is_float32(kind):
    moe = make(kind).bfloat16().eval()
    x, ids = kinds.tokens(18)
    y, routing = moe(x.bfloat16(), token_ids=ids)
    assert y.dtype == torch.bfloat16
    assert routing.router_probs.dtype == torch.float32
    exact, same = make(kind).eval(), routing
    exact.load_state_dict(moe.float().state_dict())
    y32, routing32 = exact(x.bfloat16().float(), token_ids=ids)
    assert torch.equal(same.expert_index, routing32.expert_index)
    assert torch.allclose(y.float(), y32, atol=0.05 * y32.abs().max().item())


@EVERY
def test_under_autocast_the_table_is_what_it_was(kind):
    moe = make(kind).eval()
    x, ids = kinds.tokens(18)
    y, plain = moe(x, token_ids=ids)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half, inside = moe(x, token_ids=ids)
    assert torch.equal(plain.expert_index, inside.expert_index)
    assert torch.equal(plain.combine_weights, inside.combine_weights)
    assert inside.router_logits.dtype == torch.float32
    assert torch.allclose(half.float(), y, atol=0.05 * y.abs().max().item())


@EVERY
def test_an_empty_batch_gives_an_empty_output(kind):
    moe = make(kind)
    x, ids = kinds.tokens(0)
    x.requires_grad_()
    y, routing = moe(x, token_ids=ids)
    assert y.shape == (0, D) and routing.num_tokens == 0
    y.sum().backward()
    assert x.grad.shape == (0, D)
