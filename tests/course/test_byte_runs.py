"""The byte models of chapter 2: set-ups, runs, and the claims that they feed."""

import signal
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from moe_lib.course import cost_facts, sparse_facts
from moe_lib.course import measurements_02 as long
from moe_lib.course.advantages import domain_guess, equal_size
from moe_lib.course.byte_runs import balance, train_bytes, training_bits
from moe_lib.course.byte_setup import Setup
from moe_lib.course.claims_02 import balance_claims, noise_claim, size_claims
from moe_lib.course.claims_02_exact import exact_claims, surplus
from moe_lib.course.evidence import EXACT, FAILS, HOLDS, NOISE
from moe_lib.course.placed import place
from moe_lib.course.shrinking_batch import route_to_more_experts
from moe_lib.data.text import load_text
from moe_lib.losses import importance_loss
from moe_lib.routers import NoisyTopKRouter, TopKRouter
from moe_lib.routing import Routing

TINY = Setup(num_experts=6, top_k=2, d_model=16, d_ff=24, steps=60, tokens=64)


@pytest.fixture(scope="module")
def text():
    return load_text(max_bytes=400_000)


@pytest.fixture(scope="module")
def run(text):
    return train_bytes(TINY, text, seed=3)


def test_a_run_is_repeated_by_its_seed_and_leaves_the_generator_alone(text, run):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again = train_bytes(TINY, text, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(again.curve, run.curve)
    assert torch.equal(again.demand, run.demand)
    other = train_bytes(TINY, text, seed=4)
    assert not torch.equal(other.curve, run.curve)


def test_a_run_learns_and_tells(run):
    assert run.curve.shape == (60,) and run.demand.shape == (60, 6)
    assert torch.allclose(run.demand.sum(dim=1), torch.ones(60))
    assert run.curve[-10:].mean() < run.curve[:10].mean() - 1
    assert run.perplexity == 2**run.heldout_bits and 4 < run.heldout_bits < 7
    assert run.parameters == sum(w.numel() for w in run.model.parameters())


def test_only_the_bytes_that_it_may_learn_from_matter(text):
    """Other bytes after them change nothing; evaluation stays the same."""
    setup = TINY.but(train_bytes=3000, num_experts=1)
    scrambled = text.train.clone()
    scrambled[:, 3000:] = 7
    one = train_bytes(setup, text)
    two = train_bytes(setup, replace(text, train=scrambled))
    assert torch.equal(one.curve, two.curve)
    assert one.heldout_bits == two.heldout_bits
    assert training_bits(train_bytes(TINY, text), text) > 0


def test_control_c_ends_a_loop_of_runs_after_the_step_in_hand(text):
    calls = []

    def pressed(routing):
        calls.append(1)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return importance_loss(routing)

    with pytest.raises(KeyboardInterrupt, match="stopped by you at step 3"):
        [train_bytes(TINY, text, seed, losses={pressed: 0.1}) for seed in range(3)]
    assert len(calls) == 3


def test_a_dense_run_has_no_balance(text):
    dense = train_bytes(TINY.but(num_experts=1), text)
    assert dense.cv_load is dense.cv_importance is dense.max_over_mean is None
    assert dense.demand.shape == (60, 1)


def test_without_noise_another_router_and_no_load_loss(text):
    setup = TINY.but(noise=False, model="lstm", steps=51)
    quiet = train_bytes(setup, text)
    assert type(quiet.model.ffn.router) is TopKRouter
    assert type(TINY.but(model="lstm").build().ffn.router) is NoisyTopKRouter
    assert quiet.cv_load > 0


def test_balance_against_counting_by_hand():
    routing = Routing(
        token_index=torch.tensor([0, 1, 2, 2]),
        expert_index=torch.tensor([0, 0, 0, 1]),
        combine_weights=torch.tensor([1.0, 1.0, 0.5, 0.5]),
        kept=torch.ones(4, dtype=torch.bool),
        position_in_expert=torch.tensor([0, 1, 2, 0]),
        router_logits=torch.zeros(3, 2),
        router_probs=torch.full((3, 2), 0.5),
    )
    told = balance(routing)  # loads 3, 1; importances 2.5, 0.5
    assert told["cv_load"] == pytest.approx(0.5)
    assert told["cv_importance"] == pytest.approx(1 / 1.5)
    assert told["max_over_mean"] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "gru"}, "'gru'"),
        ({"top_k": 9, "num_experts": 8}, "top_k=9"),
        ({"top_k": 5}, "d_ff=24 with top_k=5: give a width"),
        ({"num_experts": 0}, "num_experts=0"),
    ],
)
def test_a_setup_that_cannot_be_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        TINY.but(**changes)


# -- equal arithmetic -----------------------------------------------------------


@pytest.mark.parametrize("model", ["window", "lstm"])
def test_no_mixture_computes_more_than_the_dense_model(model):
    setups = long.sizes({"window": long.WINDOW, "lstm": long.LSTM}[model])
    assert list(setups) == [1, 4, 16, 64]
    extra = surplus(setups)
    assert max(extra.values()) == extra[64] == 0  # the dense model got its width so
    wide = setups[64].feed_forward
    one = setups[64].but(num_experts=1).feed_forward
    assert wide.total_parameters - wide.router_parameters == 16 * one.total_parameters


@pytest.mark.parametrize("experts", [4, 16, 64])
def test_the_accounting_agrees_with_torch_s_counter(experts):
    """FLOPs of a layer in training: the noise's matrix is a second router."""
    setups = long.sizes(long.WINDOW)
    x = torch.randn(32, 64)
    counted = {}
    for e in (1, experts):
        layer = setups[e].build().body.ffns[0].train()
        if e > 1:
            layer.backend = "loop"  # each expert's rows in plain products
        with FlopCounterMode(display=False) as counter:
            layer(x)
        counted[e] = counter.get_total_flops()
    assert counted[experts] - counted[1] == 32 * surplus(setups)[experts]


# -- the long measurements, short --------------------------------------------------


@pytest.fixture
def short(monkeypatch, text):
    monkeypatch.setattr(long, "load_text", lambda: text)
    return {"base": TINY.but(d_ff=32, num_experts=8, top_k=4, steps=51).config}


def test_measured_columns(short):
    sizes = long.measure_sizes({**short, "dense_rates": (0.01,)}, [0])
    names = ("1 at 0.01", "4", "16", "64")
    kinds = ("perplexity", "seconds", "training perplexity")
    assert set(sizes) == {f"{n}: {k}" for n in names for k in kinds}
    table = long.measure_table_6({**short, "weights": ((0, 0), (0.2, 0))}, [0, 1])
    rows = ("0, 0", "0.2, 0", "no noise")
    assert set(table) == {f"{r}: {c}" for r in rows for c in long.COLUMNS}
    assert all(len(column) == 2 for column in table.values())
    data = long.measure_data({**short, "train_bytes": {"little": 20_000}}, [0])
    assert data["little, 1: training perplexity"] != data["little, 1: perplexity"]


# -- claims -------------------------------------------------------------------------


def columns(rows):
    """perplexity, CVs and max over mean of each row, with a little spread."""
    return {
        f"{row}: {name}": torch.tensor([value, value * 1.01, value * 0.99]).double()
        for row, values in rows.items()
        for name, value in zip(long.COLUMNS, values, strict=True)
    }


PAPER = {  # table 6, and a row without noise
    "0, 0": (39.8, 3.04, 3.01, 17.8), "0.2, 0": (35.6, 0.06, 0.17, 1.47),
    "0, 0.2": (35.7, 0.22, 0.04, 1.15), "0.1, 0.1": (35.6, 0.06, 0.05, 1.14),
    "0.01, 0.01": (35.7, 0.48, 0.11, 1.37), "1, 1": (35.7, 0.03, 0.02, 1.07),
    "no noise": (40.0, 3.5, 3.5, 18.0),
}  # fmt: skip


def test_the_paper_s_own_table_holds_its_claims():
    rows = columns(PAPER)
    assert {c.verdict for c in [*balance_claims(rows), noise_claim(rows)]} == {HOLDS}


def test_a_table_upside_down_does_not():
    swapped = {**PAPER, "0, 0": PAPER["1, 1"], "1, 1": PAPER["0, 0"]}
    swapped |= {"no noise": (35.0, 0.01, 0.01, 1.0)}
    rows = columns(swapped)
    by_id = {c.id: c.verdict for c in [*balance_claims(rows), noise_claim(rows)]}
    failing = ("collapse", "busiest", "stronger", "free", "noise")
    assert {by_id[f"M2.{name}"] for name in failing} == {FAILS}


def test_more_experts_are_judged_step_by_step():
    sizes = {f"{e}: perplexity": torch.tensor([p, p + 0.1, p - 0.1]).double()
             for e, p in ((1, 6.0), (4, 6.0), (16, 5.5), (64, 5.8))}  # fmt: skip
    assert [c.verdict for c in size_claims(sizes)] == [NOISE, HOLDS, FAILS]
    assert next(c.id for c in size_claims(sizes, "M2.lstm")) == "M2.lstm.experts-4"


def test_identities_are_exact_and_told_by_id():
    claims = exact_claims(long.sizes(long.WINDOW), cases=25)
    exact = [c.id for c in claims if c.verdict == EXACT]
    assert exact == ["M2.keep", "M2.idle", "M2.two", "M2.one", "M2.arithmetic"]
    dear = {1: long.WINDOW.but(num_experts=1), 64: long.WINDOW.but(num_experts=64)}
    by_id = {c.id: c.verdict for c in exact_claims(dear, cases=5)}
    assert by_id["M2.arithmetic"] == FAILS


def test_a_start_that_is_no_lottery_shows():
    assert abs(sparse_facts.first_loads(100).mean() - 1) < 0.1
    few = sparse_facts.first_loads(20, num_tokens=8)  # theory holds for any T
    assert 0.7 < few.mean() < 1.3


def test_facts_about_costs():
    assert cost_facts.batch_off(route_to_more_experts(torch.randn(512, 8))) == 0
    assert cost_facts.ratio_off() == cost_facts.twenty_off() == 0
    assert cost_facts.load_off(5) < 1e-9 and cost_facts.nested_off(2) < 1e-9


# -- advantages ---------------------------------------------------------------------


def test_guessing_the_domain_from_the_expert(run, text):
    placed = place(run.model, TINY, text)
    table = torch.zeros(4, 6, dtype=torch.float64)
    for d, e in zip(placed.domain.tolist(), placed.first.tolist(), strict=True):
        table[d, e] += 1
    right = table.max(dim=0).values.sum() / table.sum()
    assert domain_guess(placed.weights, placed.domain) == pytest.approx(right.item())
    times, flops = equal_size(TINY, tokens=64)
    assert times > 0 and 2.5 < flops < 3  # 6 experts of which 2 work, and a router
