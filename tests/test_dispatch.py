"""Every way to the experts and back equals the obvious loop, gradients too."""

import shutil

import pytest
import torch

import router_kinds as kinds
from moe_lib import MoE
from moe_lib.dispatch import BACKENDS, choose_backend, reference_moe
from moe_lib.experts import Experts
from moe_lib.routers import ExpertChoiceRouter

EVERY = pytest.mark.parametrize("kind", kinds.ALL)
FAST = pytest.mark.parametrize("backend", [b for b in BACKENDS if b != "loop"])
D, D_FF, EXPERTS, TOKENS = kinds.D_MODEL, 16, 4, 18
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def make(kind: str, activation: str = "swiglu", dtype=torch.float32) -> MoE:
    experts = Experts(EXPERTS, D, D_FF, activation)
    return MoE(kinds.make(kind, EXPERTS), experts).to(dtype)


def run(moe: MoE, dtype: torch.dtype, backend: str) -> dict[str, torch.Tensor]:
    """Output and every gradient; the random parts of the routing repeat."""
    moe.backend = backend
    x, ids = kinds.tokens(TOKENS)
    x = x.bfloat16().to(dtype).requires_grad_()  # the same tokens in every dtype
    mask = torch.arange(TOKENS) % 7 != 3
    torch.manual_seed(1)
    y, routing = moe(x, token_mask=mask, token_ids=ids)
    pull = torch.randn(y.shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    moe.zero_grad()
    # through the table as well, as the losses are
    ((y * pull).sum() + routing.router_probs.square().sum()).backward()
    grads = {name: p.grad for name, p in moe.named_parameters() if p.grad is not None}
    return {"y": y.detach(), "x": x.grad, **{n: g.clone() for n, g in grads.items()}}


@EVERY
@pytest.mark.parametrize("activation", ["relu", "gelu", "swiglu"])
@pytest.mark.parametrize(
    ("backend", "dtype"),
    [
        (backend, dtype)
        for backend in BACKENDS
        for dtype in TOLERANCE
        if backend != "loop"
        and (backend, dtype) != ("grouped", torch.float64)  # torch has no such product
    ],
    ids=str,
)
def test_equals_the_loop(kind, backend, activation, dtype):
    moe = make(kind, activation, dtype)
    truth, got = run(moe, dtype, "loop"), run(moe, dtype, backend)
    assert truth.keys() == got.keys() >= {"y", "x", "experts.w_in", "experts.w_out"}
    for name, want in truth.items():
        error = (got[name] - want).abs().max() / want.abs().max().clamp(min=1e-30)
        assert error <= TOLERANCE[dtype], f"{name}: relative error {error:.1e}"


@FAST
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_stays_close_to_the_float64_loop(backend, dtype):
    moe = make("top_k", "swiglu", dtype)
    got = run(moe, dtype, backend)
    truth = run(moe.double(), torch.float64, "loop")
    for name in ("y", "x", "experts.w_in", "experts.w_out"):
        assert got[name].dtype == dtype
        error = (got[name].double() - truth[name]).norm() / truth[name].norm()
        assert error < 0.02, f"{name}: relative error {error:.3f}"


@EVERY
def test_gradcheck(kind):
    moe = MoE(kinds.make(kind, EXPERTS), Experts(EXPERTS, D, 3, "gelu")).double().eval()
    x, ids = kinds.tokens(6)
    parameters = dict(moe.named_parameters())

    def layer(x, *values):
        given = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(moe, given, (x, None, ids))[0]

    inputs = [x.double().requires_grad_(), *parameters.values()]
    assert torch.autograd.gradcheck(layer, inputs, eps=1e-7, atol=1e-5)


@EVERY
@pytest.mark.parametrize(
    "dtype", [torch.bfloat16, torch.float32, torch.float64, torch.float16], ids=str
)
def test_runs_on_meta_where_a_synchronisation_is_an_error(kind, dtype):
    moe = make(kind, "swiglu", dtype).to("meta")
    x = torch.empty(TOKENS, D, dtype=dtype, device="meta", requires_grad=True)
    ids = torch.empty(TOKENS, dtype=torch.int64, device="meta")
    mask = torch.empty(TOKENS, dtype=torch.bool, device="meta")
    y, routing = moe(x, token_mask=mask, token_ids=ids)
    assert choose_backend(x, routing, moe.experts) == (
        "grouped" if dtype == torch.bfloat16 else "blocks"
    )
    y.sum().backward()
    assert y.shape == x.grad.shape == x.shape and y.dtype == dtype
    assert moe.experts.w_gate.grad.is_meta


@EVERY
def test_compiles_as_one_graph(kind):
    moe = make(kind).eval()
    torch._dynamo.reset()
    compiled = torch.compile(moe, fullgraph=True, backend="aot_eager")
    check_compiled(moe, compiled)


def test_the_capped_expert_choice_compiles_too():
    router = ExpertChoiceRouter(D, EXPERTS, max_experts_per_token=2)
    moe = MoE(router, Experts(EXPERTS, D, D_FF)).eval()
    torch._dynamo.reset()
    check_compiled(moe, torch.compile(moe, fullgraph=True, backend="aot_eager"))


@pytest.mark.skipif(not shutil.which("g++"), reason="inductor needs a C++ compiler")
def test_compiles_to_code():
    moe = make("top_k").eval()
    torch._dynamo.reset()
    check_compiled(moe, torch.compile(moe, fullgraph=True))


def check_compiled(moe: MoE, compiled) -> None:
    x, ids = kinds.tokens(TOKENS)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, _ = moe(ours, token_ids=ids)
    z, _ = compiled(theirs, token_ids=ids)
    assert torch.allclose(y, z, rtol=1e-5, atol=1e-6)
    y.square().sum().backward()
    z.square().sum().backward()
    assert torch.allclose(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)


def test_autocast_takes_the_experts_down_and_leaves_the_router():
    moe = make("top_k")
    x, _ = kinds.tokens(TOKENS)
    for backend in BACKENDS:
        moe.backend = backend
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y, routing = moe(x)
        assert y.dtype == torch.bfloat16 and routing.router_probs.dtype == torch.float32
        y.float().sum().backward()
        assert moe.experts.w_in.grad.dtype == torch.float32
        assert torch.allclose(y.float(), moe(x)[0], atol=0.1)


def test_the_choice_of_a_backend_on_the_cpu():
    moe = make("top_k")
    few, many = torch.randn(6, D), torch.randn(2048, D)
    assert choose_backend(many, moe.router(many), moe.experts) == "segments"
    assert choose_backend(few, moe.router(few), moe.experts) == "grouped"
    double = make("top_k", dtype=torch.float64)
    routing = double.router(few.double())
    assert choose_backend(few.double(), routing, double.experts) == "segments"
    odd = Experts(EXPERTS, D, 15)  # strides that F.grouped_mm refuses
    assert choose_backend(few, moe.router(few), odd) == "segments"


def test_the_choice_of_a_backend_on_several_cores(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    moe = make("top_k")
    few, many = torch.randn(64, D), torch.randn(2048, D)
    assert choose_backend(many, moe.router(many), moe.experts) == "segments"
    assert choose_backend(few, moe.router(few), moe.experts) == "padded"
    switch = make("switch_dropless")
    collapsed = switch.router.route(torch.tensor([[9.0, 0.0, 0.0, 0.0]] * 64))
    assert choose_backend(few, collapsed, switch.experts) == "segments"  # no padding


@pytest.mark.parametrize("how", ["segments", "padded", "grouped"])
def test_rows_past_the_last_expert_are_0(how):
    experts = Experts(2, D, D_FF)
    x = torch.randn(9, D, requires_grad=True)
    counts = torch.tensor([3, 0])
    y = experts(x, counts, how)
    assert torch.allclose(y[:3], experts.one(0, x[:3]), atol=1e-6)
    assert y[3:].eq(0).all()
    (y * 1.0).sum().backward()
    assert x.grad[:3].ne(0).any() and x.grad[3:].eq(0).all()
    assert experts.w_in.grad[1].eq(0).all()  # no rows: a gradient of 0, not none


def test_deterministic_bit_for_bit():
    moe = make("gshard").eval()
    x = torch.randn(600, D)
    first = run(moe, torch.float32, "auto")
    assert torch.equal(moe(x)[0], moe(x)[0])
    assert all(torch.equal(v, first[k]) for k, v in run(moe, x.dtype, "auto").items())


@pytest.mark.parametrize("backend", ["auto", "loop", "one_hot", "blocks"])
def test_an_empty_batch_gives_an_empty_output(backend):
    moe = make("switch")
    moe.backend = backend
    y, routing = moe(torch.randn(0, D))
    assert y.shape == (0, D) and routing.token_index.numel() == 0


def test_leading_dimensions_are_flattened_and_put_back():
    moe = make("top_k")
    x = torch.randn(3, 5, D)
    y, routing = moe(x)
    assert y.shape == x.shape and routing.num_tokens == 15
    flat = reference_moe(x.view(15, D), moe.router(x.view(15, D)), moe.experts)
    assert torch.allclose(y.view(15, D), flat, atol=1e-6)


class Doubling(torch.nn.Module):
    """Somebody's own experts: each doubles, and adds its number."""

    def forward(self, rows, tokens_per_expert):
        number = torch.arange(EXPERTS).repeat_interleave(tokens_per_expert)
        return 2 * rows + number.unsqueeze(1)


def test_any_module_on_sorted_rows_can_be_the_experts():
    moe = MoE(kinds.make("top_k", EXPERTS), Doubling())
    x, _ = kinds.tokens(TOKENS)
    y, routing = moe(x)
    numbers = routing.dense() @ torch.arange(EXPERTS).float()
    assert torch.allclose(y, 2 * x + numbers.unsqueeze(1), atol=1e-5)


def test_bad_layers_are_refused():
    router = kinds.make("top_k", EXPERTS)
    with pytest.raises(ValueError, match=r"router has num_experts=4 but .*=3: build"):
        MoE(router, Experts(3, D, D_FF))
    with pytest.raises(ValueError, match="d_model=8 but the experts have d_model=9"):
        MoE(router, Experts(EXPERTS, 9, D_FF))
    with pytest.raises(ValueError, match="backend='magic': choose one of auto, loop"):
        MoE(router, Experts(EXPERTS, D, D_FF), backend="magic")
    with pytest.raises(ValueError, match="int64: convert it"):
        MoE(router, Experts(EXPERTS, D, D_FF))(torch.ones(3, D).long())
    with pytest.raises(ValueError, match=r"7 columns .* built for 8"):
        MoE(router, Experts(EXPERTS, D, D_FF))(torch.ones(3, 7))
    with pytest.raises(ValueError, match="nan"):
        MoE(router, Experts(EXPERTS, D, D_FF))(torch.full((3, D), torch.nan))
