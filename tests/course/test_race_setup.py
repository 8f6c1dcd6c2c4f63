import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lib.course.race_runs import load_judge, race_columns, run_race
from moe_lib.course.race_setup import Setup, choosing, field
from moe_lib.data.text import load_text
from moe_lib.layer import MoE

SMALL = {"d_model": 16, "d_ff": 64, "num_heads": 2, "num_experts": 4, "tokens": 256}
KINDS = ["dense", "dense gate", "noisy top-2", "GShard", "Switch", "expert choice",
         "hash", "Mixtral top-2"]  # fmt: skip


@pytest.fixture(scope="module")
def text():
    return load_text(200_000)


def weights_of(model):
    return sum(weight.numel() for weight in model.parameters())


def test_all_routers_of_the_course_run():
    assert list(field(Setup())) == KINDS


@given(
    st.integers(1, 4), st.sampled_from([16, 32]), st.integers(1, 6), st.booleans()
)  # fmt: skip
@settings(deadline=None, max_examples=25)
def test_all_multiply_alike_but_for_their_routers(experts, d_model, width, masked):
    base = Setup(num_experts=2 * experts, d_model=d_model, masked=masked,
                 d_ff=8 * 2 * experts * width)  # fmt: skip
    setups = field(base)
    router = {name: 2 * s.d_model * s.num_experts for name, s in setups.items()}
    rest = {n: s.flops - router[n] for n, s in setups.items() if n != "dense"}
    assert len(set(rest.values())) == 1
    most = max(s.flops for n, s in setups.items() if n != "dense")
    unit = 4 * d_model * base.num_layers  # a hidden unit of each layer
    assert most <= setups["dense"].flops < most + unit


def test_mixtures_have_the_same_weights_but_for_their_routers():
    base = Setup()
    experts = {}
    for name, setup in field(base).items():
        layer = next((m for m in setup.build().modules() if isinstance(m, MoE)), None)
        experts[name] = layer and weights_of(layer.experts)
    whole = 2 * 64 * 16 * 128
    asked = {name: whole for name in KINDS if name not in ("dense", "dense gate")}
    assert experts == {"dense": None, "dense gate": whole // 16} | asked


@pytest.mark.parametrize("each", [0.5, 1, 2])
def test_fewer_experts_of_a_token_are_wider(each):
    setup = choosing(Setup(), "expert choice", each)
    assert setup.num_experts * setup.d_ff == 16 * 128
    assert setup.d_ff * each == 128
    x = torch.randn(64, 64)
    assert setup.make_router()(x).kept.sum() == 64 * each


def test_only_who_needs_it_has_a_balancing_loss():
    named = {
        name: sorted(loss.__name__ for loss in setup.losses)
        for name, setup in field(Setup()).items()
        if not setup.dense
    }
    one = ["load_balancing_loss"]
    assert named == {
        "dense gate": [], "noisy top-2": ["importance_loss", "load_loss"],
        "GShard": one, "Switch": one, "expert choice": [], "hash": [],
        "Mixtral top-2": one,
    }  # fmt: skip


def test_an_unknown_router_and_half_an_expert_are_told():
    with pytest.raises(ValueError, match="router='switch': choose one of dense, "):
        Setup(router="switch")
    with pytest.raises(ValueError, match="experts_per_token=0: "):
        Setup(experts_per_token=0)


def test_in_an_encoder_the_hash_goes_by_the_byte_before():
    torch.manual_seed(0)
    setup = field(Setup(masked=True, **SMALL))["hash"]
    model = setup.build()
    texts = torch.randint(256, (3, 64))
    _, (routing,) = model(texts)
    router = next(m for m in model.modules() if isinstance(m, MoE)).router
    before = torch.cat([texts[:, :1], texts[:, :-1]], dim=1)
    expected = router.expert_of_token[before.flatten()]
    assert torch.equal(routing.expert_index, expected)


@pytest.mark.parametrize("masked", [False, True])
def test_everybody_learns_and_is_judged(text, masked):
    base = Setup(masked=masked, steps=12, warmup=4, **SMALL)
    runs = run_race(field(base), text, 0)
    columns = race_columns(runs)
    for name, run in runs.items():
        learnt = run.history["bits_per_byte"]
        assert learnt[-4:].mean() < learnt[:4].mean() - 0.1, name
        assert 4 < run.bits[0] < 8, name
    assert (columns["expert choice: load cv"] == 0).all()
    assert (columns["dense gate: load cv"] == 0).all()
    assert (columns["hash: load cv"] > 0).all()
    assert (columns["expert choice: unserved"] > 0).any()
    assert (columns["Mixtral top-2: unserved"] == 0).all()
    assert columns["expert choice: dropped"] == 0
    assert columns["Switch: dropped"] > 0
    assert columns["hash: parameters"] == weights_of(runs["hash"].model)


def test_the_judge_counts_as_the_obvious_loop(text):
    torch.manual_seed(0)
    model = field(Setup(**SMALL))["expert choice"].build()
    seen = []
    model.register_forward_hook(lambda module, args, out: seen.append(out[1][0]))
    found = load_judge(text, masked=False)(model)
    served = set(seen[0].token_index.tolist())
    assert found["unserved"].item() == pytest.approx(1 - len(served) / 2048)
    assert found["load cv"] == 0
