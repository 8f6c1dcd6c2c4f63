"""Chapter 4's language models: arithmetic, buffers, and runs in turns."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from moe_lib.course.measurements_04_hidden import CHANGES, HIDDEN, measure_hidden
from moe_lib.course.measurements_04_scaling import SCALING, arms, measure_scaling
from moe_lib.course.switch_runs import switch_trainer, train_in_turns
from moe_lib.course.switch_setup import LENGTH, Setup, as_much_arithmetic
from moe_lib.data.text import load_text
from moe_lib.layer import MoE

TINY = Setup(num_experts=4, d_model=16, d_ff=16, steps=6, tokens=128, warmup=2)


@pytest.fixture(scope="module")
def text():
    return load_text(60_000, heldout_share=0.4)


@pytest.fixture(scope="module")
def setups():
    return {"dense": as_much_arithmetic(TINY), "switch": TINY}


@pytest.fixture(scope="module")
def runs(text, setups):
    return train_in_turns(setups, text, 3, (2, 6), turn=3)


# -- the models -----------------------------------------------------------------


@given(
    router=st.sampled_from(["switch", "top-2"]),
    experts=st.integers(2, 64),
    d_model=st.sampled_from([8, 32, 64]),
    d_ff=st.integers(4, 200),
    layers=st.sampled_from([2, 4]),
)
def test_the_dense_model_multiplies_as_much_and_hardly_more(
    router, experts, d_model, d_ff, layers
):
    mixture = Setup(
        router, experts, d_model=d_model, d_ff=d_ff, num_layers=layers
    )  # fmt: skip
    extra = as_much_arithmetic(mixture).flops - mixture.flops
    assert 0 <= extra < 4 * d_model * layers  # less than one more unit in each layer


def test_flops_are_torch_s_own_count():
    dense = as_much_arithmetic(TINY)
    model = dense.build()
    plain = sdpa_kernel(SDPBackend.MATH)  # torch does not count the fused one
    with FlopCounterMode(display=False) as counter, torch.no_grad(), plain:
        model(torch.zeros(2, LENGTH, dtype=torch.int64))
    assert counter.get_total_flops() == 2 * LENGTH * dense.flops


@pytest.mark.parametrize("first", [True, False])
def test_every_other_layer_is_a_mixture(first):
    model = TINY.but(num_layers=4, mixture_first=first).build()
    kinds = [isinstance(block.ffn, MoE) for block in model.stack.blocks]
    assert kinds == [first, not first] * 2
    assert not any(
        isinstance(p, MoE) for p in TINY.but(router="dense").build().modules()
    )


@pytest.mark.parametrize("router", ["switch", "top-2"])
@pytest.mark.parametrize("factor", [0.5, 1, 2])
def test_places_do_not_depend_on_the_number_of_choices(router, factor):
    made = TINY.but(router=router, capacity_factor=factor).make_router()
    x = torch.randn(64, 16)
    assert made.train()(x).capacity == factor * 64 / 4
    assert made.eval()(x).kept.all()
    tight = TINY.but(router=router, eval_capacity_factor=factor).make_router()
    assert tight.eval()(x).capacity == factor * 64 / 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"num_experts": 0}, "num_experts=0"), ({"router": "hash"}, "router"),
     ({"num_layers": 3}, "num_layers=3: give an even"), ({"steps": 0}, "steps=0")],
)  # fmt: skip
def test_a_setup_that_cannot_be_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        TINY.but(**changes)


# -- the runs -------------------------------------------------------------------


def test_in_turns_is_as_alone(text, setups, runs):
    alone = train_in_turns({"switch": TINY}, text, 3, (6,))["switch"]
    for key, value in alone.model.state_dict().items():
        assert torch.equal(value, runs["switch"].model.state_dict()[key]), key
    assert alone.bits[-1] == runs["switch"].bits[-1]
    assert runs["switch"].bits.shape == runs["switch"].seconds.shape == (2,)
    assert (runs["switch"].seconds.diff() > 0).all()
    assert runs["dense"].history["bits_per_byte"].shape == (6,)


def test_another_judge_router_and_model(text):
    seen = []
    run = train_in_turns(
        {"switch": TINY},
        text,
        judge=lambda model: {"two": torch.tensor([1.0, 2.0])},
        make_routers={"switch": TINY.but(jitter_noise=0.5).make_router},
        prepare={"switch": seen.append},
    )["switch"]
    assert run.more["two"].tolist() == [[1.0, 2.0]]
    assert run.model.stack.blocks[0].ffn.router.jitter_noise == 0.5
    assert seen == [run.model]


def test_losses_have_the_setup_s_coefficients(text):
    trainer = switch_trainer(TINY.but(w_balance=0.5, w_z=0.25), text)
    trainer.run(1)
    history = trainer.history
    loss = history["bits_per_byte"] * torch.tensor(2.0).log()
    loss = loss + 0.5 * history["load_balancing_loss"].sum(dim=1)
    loss = loss + 0.25 * history["router_z_loss"].sum(dim=1)
    torch.testing.assert_close(history["loss"], loss)


# -- the measurements -----------------------------------------------------------


def test_arms_of_the_table_and_their_arithmetic():
    setups = arms(Setup(), (0.007, 0.014))
    dense = setups["dense at 0.007"].flops
    for name, setup in setups.items():
        if name.startswith("switch"):
            assert 0.97 * dense < setup.flops <= dense
    assert 3 < setups["large at 0.014"].flops / dense < 4
    assert setups["switch 16"].capacity_factor == 1.25
    assert setups["top-2, 1"].capacity_factor == 1


def test_columns_of_the_measurements():
    tiny = {"base": TINY.config, "dense_rates": (0.01, 0.02), "checkpoints": (2, 6)}
    columns = measure_scaling({**SCALING.config, **tiny}, [0, 1])
    assert {tuple(column.shape) for column in columns.values()} == {(2, 2)}
    assert "switch 16: dropped" in columns and "large at 0.02: bits" in columns
    hidden = measure_hidden({**HIDDEN.config, "base": TINY.but(steps=2).config}, [0])
    assert {name.split(",")[0] for name in hidden} == set(CHANGES)
    assert hidden["tables, dense: bits"] != hidden["reference, dense: bits"]
    assert hidden["late, dense: bits"] == hidden["reference, dense: bits"]
