"""The experts' arithmetic against autograd, expert by expert; how weights start."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from moe_lib.experts import Experts
from moe_lib.feed_forward import Grouped, Segments
from moe_lib.feed_forward_padded import Padded
from moe_lib.initialisation import truncated_normal_

ACTIVATION = pytest.mark.parametrize("activation", ["relu", "gelu", "swiglu"])


def plain(x, w_in, w_out, w_gate, mask, counts, activation):
    """Autograd's own way through one expert after the other."""
    parts, start = [], 0
    for e, count in enumerate(counts.tolist()):
        rows = x[start : start + count]
        h = rows @ w_in[e]
        if activation == "swiglu":
            h = F.silu(rows @ w_gate[e]) * h
        else:
            h = F.relu(h) if activation == "relu" else F.gelu(h)
        if mask is not None:
            h = h * mask[start : start + count]
        parts.append(h @ w_out[e])
        start += count
    return torch.cat([*parts, torch.zeros_like(x[start:])])


@settings(deadline=None, max_examples=90)
@given(
    counts=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    tail=st.integers(0, 3),
    width=st.sampled_from([1, 3, 4, 8]),
    hidden=st.sampled_from([1, 4, 6, 12]),
    activation=st.sampled_from(["relu", "gelu", "swiglu"]),
    dropout=st.booleans(),
    function=st.sampled_from([Segments, Padded, Grouped]),
    seed=st.integers(0, 99),
)
def test_backward_by_hand_equals_autograd(
    counts, tail, width, hidden, activation, dropout, function, seed
):
    grouped = function is Grouped
    if grouped:  # torch's own product: strides of 16 bytes, no float64
        width, hidden = 4 * width, 4 * hidden
    dtype = torch.float32 if grouped else torch.float64
    draw = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(*shape, generator=draw, dtype=dtype).requires_grad_()

    rows, experts = sum(counts) + tail, len(counts)
    x = random(rows, width)
    w_in, w_out = random(experts, width, hidden), random(experts, hidden, width)
    w_gate = random(experts, width, hidden) if activation == "swiglu" else None
    mask = None
    if dropout:
        mask = (torch.rand(rows, hidden, generator=draw) < 0.6).to(dtype) / 0.6
    arguments = (x, w_in, w_out, w_gate, mask, torch.tensor(counts), activation)
    kept = [None if v is None else v.detach().clone() for v in arguments[:5]]
    looped = function is Segments
    y = function.apply(*arguments, *([True] if looped else []))
    want = plain(*arguments)
    if looped:  # and where no backward will come
        with torch.no_grad():
            assert torch.equal(y, function.apply(*arguments, False))
    inputs = [v for v in (x, w_in, w_out, w_gate) if v is not None]
    pull = torch.randn(y.shape, generator=draw, dtype=dtype)
    got = torch.autograd.grad((y * pull).sum(), inputs)
    truth = torch.autograd.grad((want * pull).sum(), inputs)
    for a, b in zip((y, *got), (want, *truth), strict=True):
        scale = b.abs().max().item() if b.numel() else 1.0
        assert torch.allclose(a, b, rtol=0, atol=(1e-5 if grouped else 1e-12) * scale)
    for value, before in zip(arguments[:5], kept, strict=True):
        assert value is None or torch.equal(value, before)  # inputs are not touched


@ACTIVATION
def test_expert_dropout_works_in_training_only_and_keeps_the_mean(activation):
    experts = Experts(2, 8, 16, activation, expert_dropout=0.4).double()
    x, counts = torch.randn(12, 8, dtype=torch.float64), torch.tensor([5, 7])
    plain = experts.eval()(x, counts)
    assert torch.equal(plain, experts(x, counts))
    experts.train()
    draws = torch.stack([experts(x, counts) for _ in range(3000)])
    assert not torch.equal(draws[0], draws[1])
    # the standard error of 3,000 draws is about 0.02 of an output's deviation
    assert (draws.mean(0) - plain).abs().max() < 6 * draws.std(0).max() / 3000**0.5


def test_a_row_of_hidden_units_is_dropped_with_the_rate_given():
    experts = Experts(1, 4, 1000, "relu", expert_dropout=0.4)
    with torch.no_grad():
        experts.w_in.fill_(1.0)
        experts.w_out.fill_(1.0)
    y = experts(torch.ones(50, 4), torch.tensor([50]))  # counts survivors, times 4/0.6
    share = y[:, 0] * 0.6 / 4 / 1000
    assert (share - 0.6).abs().max() < 0.08 and (share.mean() - 0.6).abs() < 0.02


def test_weights_start_as_a_truncated_normal_of_their_fan_in():
    torch.manual_seed(0)
    experts = Experts(4, 64, 256, "swiglu", init_scale=0.1)
    for name, fan_in in (("w_in", 64), ("w_gate", 64), ("w_out", 256)):
        weight, std = getattr(experts, name), math.sqrt(0.1 / fan_in)
        assert weight.abs().max() <= 2 * std  # redrawn beyond two deviations
        assert weight.std().item() == pytest.approx(0.8796 * std, rel=0.02)
    larger = Experts(4, 64, 256, init_scale=1.0).w_in.std() / experts.w_in.std()
    assert larger.item() == pytest.approx(10**0.5, rel=0.03)


def test_the_layout_of_the_weights():
    experts = Experts(3, 4, 5, "swiglu")
    shapes = {name: list(p.shape) for name, p in experts.named_parameters()}
    assert shapes == {"w_in": [3, 4, 5], "w_gate": [3, 4, 5], "w_out": [3, 5, 4]}
    assert [n for n, _ in Experts(3, 4, 5).named_parameters()] == ["w_in", "w_out"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Experts(0, 4, 5), "num_experts=0: give a whole number"),
        (lambda: Experts(3, 4, 5.0), "d_ff=5.0: give a whole number"),
        (lambda: Experts(3, 4, 5, "tanh"), "activation='tanh': choose one of relu"),
        (lambda: Experts(3, 4, 5, expert_dropout=1.0), "expert_dropout=1.0: give"),
        (lambda: Experts(3, 4, 5, init_scale=0), "init_scale=0: give a positive"),
        (lambda: truncated_normal_(torch.empty(2), fan_in=2, scale=math.nan), "nan"),
    ],
)
def test_bad_experts_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
