"""Chapter 4's two knobs: room in evaluation, likeness of experts, claims, costs."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import made_up_knobs
from moe_lib.course import claims_04_capacity as claims
from moe_lib.course import measurements_04_capacity as long
from moe_lib.course.evidence import EXACT, FAILS, HOLDS
from moe_lib.course.expert_similarity import (
    bits_of_second_best,
    every_answer,
    expert_similarity,
    mean_of_pairs,
    only_mixture,
    similarity,
)
from moe_lib.course.room_costs import room_costs
from moe_lib.course.switch_runs import train_in_turns
from moe_lib.course.switch_setup import Setup
from moe_lib.data import domain_text
from moe_lib.data.text import load_text
from moe_lib.experts import Experts
from moe_lib.language_modelling import evaluate

TINY = Setup(num_experts=4, d_model=16, d_ff=16, steps=5, tokens=128, warmup=2)
SMALL_CONFIG = {"factors": (0.5, 4), "last": 2}


@pytest.fixture(scope="module", autouse=True)
def few_stretches():
    """Little held-out text: 4 stretches of a domain instead of 64."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(domain_text, "STRETCHES", 4)
        yield


@pytest.fixture(scope="module")
def text():
    return load_text(60_000, heldout_share=0.4)


@pytest.fixture(scope="module")
def run(text):
    return train_in_turns({"0.5": TINY.but(capacity_factor=0.5)}, text, 1)["0.5"]


def verdicts(found):
    return {claim.id: claim.verdict for claim in found}


# -- likeness -------------------------------------------------------------------


@given(
    experts=st.integers(2, 5), tokens=st.integers(2, 9), width=st.integers(1, 6),
    seed=st.integers(0, 999),
)  # fmt: skip
def test_likeness_is_the_cosine_of_centred_answers(experts, tokens, width, seed):
    draw = torch.Generator().manual_seed(seed)
    outputs = torch.randn(experts, tokens, width, generator=draw, dtype=torch.float64)
    table = similarity(outputs)
    pairs = []
    for i in range(experts):
        for j in range(experts):
            dot = norm_i = norm_j = 0.0
            for d in range(width):
                a, b = outputs[i, :, d].tolist(), outputs[j, :, d].tolist()
                a = [v - sum(a) / tokens for v in a]
                b = [v - sum(b) / tokens for v in b]
                dot += sum(p * q for p, q in zip(a, b, strict=True))
                norm_i += sum(p * p for p in a)
                norm_j += sum(q * q for q in b)
            by_hand = dot / math.sqrt(norm_i * norm_j)
            assert table[i, j].item() == pytest.approx(by_hand, abs=1e-9)
            if i != j:
                pairs.append(by_hand)
    mean = sum(pairs) / len(pairs)
    assert mean_of_pairs(table) == pytest.approx(mean, abs=1e-9)


def test_known_likenesses():
    draw = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 4000, 8, generator=draw)
    constant = torch.ones(4000, 8)
    table = similarity(torch.stack([one, 3 * one + 7, -one, other, constant]))
    assert table[0, :3].tolist() == pytest.approx([1, 1, -1], abs=1e-5)
    assert abs(table[0, 3]) < 0.03  # nothing to do with one another
    assert table[4].tolist() == [0] * 5  # one answer to all: alike to nobody
    with pytest.raises(ValueError, match=r"outputs \[3, 1, 2\]: give"):
        similarity(torch.zeros(3, 1, 2))


def test_an_untrained_model_s_experts_have_nothing_in_common(text):
    torch.manual_seed(0)
    model = TINY.build()
    table = expert_similarity(model, TINY, text)
    assert table.shape == (4, 4) and abs(mean_of_pairs(table)) < 0.1
    assert table.diagonal().tolist() == pytest.approx([1] * 4, abs=1e-5)
    experts = only_mixture(model).experts
    with torch.no_grad():
        for weight in experts.parameters():
            weight[1:] = weight[:1]  # copies of expert A
    alike = expert_similarity(model, TINY, text)
    assert alike.flatten().tolist() == pytest.approx([1] * 16, abs=1e-5)
    bits = evaluate(model, text, TINY.span).mean().item()
    assert bits_of_second_best(model, TINY, text) == pytest.approx(bits, abs=1e-5)


def test_every_expert_answers_every_token():
    torch.manual_seed(2)
    experts, x = Experts(3, 4, 5), torch.randn(6, 4)
    all_to_one = [torch.tensor([6 * (e == k) for e in range(3)]) for k in range(3)]
    by_bank = torch.stack([experts(x, counts) for counts in all_to_one])
    assert torch.allclose(every_answer(experts, x), by_bank, atol=1e-6)


def test_the_second_choice_is_another_expert_with_the_first_one_s_weight(text, run):
    model = run.model
    layer, seen = only_mixture(model), []
    listen = layer.register_forward_hook(lambda _, args, out: seen.append(out[1]))
    bits = bits_of_second_best(model, run.setup, text)
    listen.remove()
    first = layer.router(torch.randn(8, 16))  # and the router is as it was
    assert torch.equal(first.expert_index, first.router_logits.argmax(dim=1))
    assert abs(bits - run.bits[-1].item()) > 1e-6
    for routing in seen:
        assert routing.kept.all() and (routing.combine_weights > 0.25 - 1e-6).all()


def test_a_model_with_no_mixture_or_several_is_refused():
    for setup, count in ((TINY.but(router="dense"), 0), (TINY.but(num_layers=4), 2)):
        with pytest.raises(ValueError, match=f"has {count} mixtures: give one"):
            only_mixture(setup.build())


# -- room -----------------------------------------------------------------------


def test_room_changes_evaluation_only_and_is_taken_back(text, run):
    router = only_mixture(run.model).router
    before = router.slots
    with long.room(run.model, 0.5) as dropped:
        capacities = [
            router.slots.capacity(128, 4, 1, training=training)
            for training in (True, False)
        ]
        evaluate(run.model, text, run.setup.span, batch=128)
    assert capacities == [16, 16] and router.slots == before
    assert len(dropped) > 10 and min(dropped) >= 0.5  # half of them find no place
    with long.room(run.model, 4) as dropped:
        evaluate(run.model, text, run.setup.span, batch=128)
    assert max(dropped) == 0


def test_room_counts_as_switch_does_for_two_choices():
    model = TINY.but(router="top-2").build()
    with long.room(model, 2):
        slots = only_mixture(model).router.slots
        assert slots.capacity(128, 4, 2, training=False) == 64


def test_what_is_stored_of_capacity(text, run):
    config = {"factors": (0.5, 1, 4), "last": 2}
    columns = long.capacity_columns({"0.5": run}, text, config)
    dropped = columns["0.5: eval dropped"]
    assert dropped[0] > dropped[1] > dropped[2] == 0
    assert columns["0.5: bits"].shape == (3,)
    # with four times an even share for each of four experts nothing is dropped
    room = columns["0.5: bits with room"]
    assert columns["0.5: bits"][2] == pytest.approx(room.item(), abs=1e-5)
    assert columns["0.5: training dropped"] == run.history["drop_fraction"][3:].mean()
    assert columns["0.5: seconds"] > 0


def test_what_is_stored_of_balance(text, run):
    columns = long.balance_columns({"0.01": run}, text, {"last": 2})
    assert 1 <= columns["0.01: max_over_mean"] <= 4
    assert 0 < columns["0.01: entropy"] <= math.log(4) + 1e-6
    assert 0.25 <= columns["0.01: top probability"] <= 1
    assert columns["0.01: bits"] == run.bits[-1]
    assert all(value.shape == () for value in columns.values())


def test_measuring_in_small(monkeypatch, text):
    monkeypatch.setattr(long, "load_text", lambda: text)
    base = TINY.but(steps=2).config
    capacity = long.measure_capacity({**SMALL_CONFIG, "base": base}, [0, 1])
    assert capacity["4: bits"].shape == (2, 2)
    assert (capacity["0.5: training dropped"] >= 0.5).all()
    config = {
        "base": TINY.but(steps=2, capacity_factor=None).config, "last": 2,
        "coefficients": (0, 1), "limited factor": 1, "limited coefficients": (1,),
    }  # fmt: skip
    balance = long.measure_balance(config, [0, 1])
    arms = {name.split(": ")[0] for name in balance}
    assert arms == {"0", "1", "1 at 1.25", "untrained"}
    assert (balance["1: dropped"] == 0).all()
    assert (balance["1 at 1.25: dropped"] > 0).all()
    # the seeds are measured one by one: the same numbers as together
    alone = long.measure_balance(config, [1])
    assert alone["1: similarity"] == balance["1: similarity"][1:]


def test_the_long_configurations_say_what_they_are_for():
    fixed = long.BALANCE.config["base"]
    assert fixed["capacity_factor"] is None and fixed["steps"] == 400
    assert set(long.BALANCE.config["limited coefficients"]) < set(long.COEFFICIENTS)
    assert [item.name for item in long.MEASUREMENTS] == ["04-capacity", "04-balance"]


# -- claims and costs -----------------------------------------------------------


def test_claims_hold_on_made_up_numbers_that_bear_them_out():
    found = verdicts(claims.capacity_claims(made_up_knobs.capacity()))
    assert found.pop("M4.drops-eval") == EXACT
    assert set(found.values()) == {HOLDS}
    found = verdicts(claims.balance_claims(made_up_knobs.balance()))
    assert set(found.values()) == {HOLDS}


def test_claims_can_fail():
    columns = made_up_knobs.capacity()
    turned = {}
    for name, values in columns.items():
        other = name.split(": ")[1]
        if other in ("bits", "eval dropped"):
            turned[name] = values.flip(1)
        elif other == "training dropped":
            turned[name] = 0.2 - values / 9
        elif other == "seconds":
            turned[name] = 1 / values
    found = verdicts(claims.capacity_claims(turned))
    apart = {found.pop("M4.capacity-quality"), found.pop("M4.capacity-more")}
    assert set(found.values()) == {FAILS} != apart  # these two compare trainings
    worse = {f"{f:g}: bits": columns[f"{f:g}: bits"] + 1 / f for f in long.FACTORS}
    found = verdicts(claims.capacity_claims(columns | worse))
    assert found["M4.capacity-quality"] == FAILS
    worse = {f"{f:g}: bits": columns[f"{f:g}: bits"] + f for f in long.FACTORS}
    found = verdicts(claims.capacity_claims(columns | worse))
    assert found["M4.capacity-more"] == FAILS
    found = verdicts(claims.balance_claims(exchanged("0", "0.01")))
    lost = ("M4.balance-loss", "M4.balance-drops", "M4.balance-free")
    assert {found[name] for name in lost} == {FAILS}
    found = verdicts(claims.balance_claims(exchanged("0.01", "1")))
    lost = ("M4.balance-cost", "M4.alike", "M4.alike-swap")
    assert {found[name] for name in lost} == {FAILS}


def exchanged(one, other):
    """The made-up balance with two coefficients' columns exchanged."""
    columns, turn = made_up_knobs.balance(), {one: other, other: one}
    pairs = ((name.split(maxsplit=1) if " at " in name else name.split(":", 1), name)
             for name in columns)  # fmt: skip
    return {
        name: columns[name.replace(first, turn.get(first, first), 1)]
        for (first, _), name in pairs
    }


def test_every_claim_has_its_own_id_and_tells_its_margin():
    every = claims.capacity_claims(made_up_knobs.capacity())
    every += claims.balance_claims(made_up_knobs.balance())
    assert len(verdicts(every)) == len(every)
    assert all(claim.id.startswith("M4.") for claim in every)
    told = {claim.id for claim in every if f"{claims.MARGIN:g}" in claim.text}
    assert told >= {"M4.capacity-quality", "M4.balance-free"}


def test_room_costs_places_and_padding_but_not_arithmetic():
    table = room_costs(Setup(), made_up_knobs.capacity())
    factor, places, empty, padded, filled, seconds = zip(*table.rows, strict=True)
    assert places == ("64", "96", "128", "160", "256", "512")
    assert empty == ("0%", "0%", "0%", "20%", "50%", "75%")
    per_row = 2 * 2 * 64 * 128  # two matrices, two FLOPs each
    router = 2 * 64 * 16 * 2048
    for f, with_padding, without in zip(factor, padded, filled, strict=True):
        rows = round(float(f) * 2048)
        assert int(with_padding) == round((rows * per_row + router) / 1e6)
        filled_rows = min(rows, 2048)
        assert int(without) == round((filled_rows * per_row + router) / 1e6)
    assert repr(table) == "What room costs: 6 capacity factors, 0.5 to 4"
    assert len(set(seconds)) > 1
    two = room_costs(Setup("top-2"), made_up_knobs.capacity()).rows
    assert two[2][1:3] == ("128", "0%") and two[4][1:3] == ("256", "0%")
