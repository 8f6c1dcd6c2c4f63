"""The name memory: set-ups, runs, who shares experts, and the claims they feed."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from moe_lib.course import claims_03_lookup as claims
from moe_lib.course import measurements_03_lookup as long
from moe_lib.course.evidence import EXACT, FAILS, HOLDS
from moe_lib.course.language_sharing import (
    SCRIPTS,
    Sharing,
    sharing,
    sharing_columns,
    sharings_from,
)
from moe_lib.course.lookup_runs import groups_of, new_model, train_lookup
from moe_lib.course.lookup_setup import ARMS, Setup
from moe_lib.course.lookup_tables import arms_table, sharing_table
from moe_lib.course.stored_results import StoredResult
from moe_lib.data.lookup import SIZES as LANGUAGES
from moe_lib.data.lookup import load_lookup
from moe_lib.specialisation import mutual_information

TINY = Setup(d_model=8, d_ff=16, num_experts=4, steps=120, batch=64)
SIZES = {"fr": 60, "ru": 40, "sw": 20}


@pytest.fixture(scope="module")
def data():
    return load_lookup(SIZES, d_model=8, num_unseen=10)


@pytest.fixture(scope="module")
def run(data):
    return train_lookup(TINY, data, seed=3)


# -- set-ups --------------------


@given(st.integers(1, 40), st.integers(1, 60), st.integers(1, 20))
def test_arms_are_equal_where_they_are_said_to_be(width, half, pairs):
    base = Setup(d_model=width, d_ff=2 * half, num_experts=2 * pairs)
    assert claims.surplus(base) == 0
    wide, mixture = (base.but(arm=arm).parameters for arm in ("wide", "mixture"))
    assert 0 <= wide - mixture < 4 * width  # less than a hidden unit in both layers


@pytest.mark.parametrize("arm", ARMS)
def test_the_accounting_agrees_with_torch_s_counter_and_the_built_model(arm):
    setup = Setup(arm, second_expert_policy="all", capacity_factor=4.0)  # none lost
    model = setup.build(3, 5).train()
    for ffn in model.body.ffns:
        if hasattr(ffn, "router"):
            ffn.backend = "loop"  # each expert's rows in plain products
    with FlopCounterMode(display=False) as counter:
        model(torch.randn(32, 16), torch.zeros(32, dtype=torch.int64))
    head = 2 * 32 * 16 * 5
    assert counter.get_total_flops() == 32 * setup.flops + head
    weights = sum(p.numel() for p in model.body.ffns.parameters())
    assert weights == setup.parameters


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arm": "deep"}, "'deep'"),
        ({"d_ff": 15}, "d_ff=15: give an even number"),
        ({"num_experts": 0}, "num_experts=0"),
    ],
)
def test_a_setup_that_cannot_be_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        TINY.but(**changes)


# -- runs --------------------


def test_a_run_is_repeated_by_its_seed_and_leaves_the_generator_alone(data, run):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again = train_lookup(TINY, data, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(again.curve, run.curve) and torch.equal(again.seen, run.seen)
    assert not torch.equal(train_lookup(TINY, data, seed=4).curve, run.curve)


def test_a_run_learns_what_it_sees_alone(run, data):
    chance = math.log(len(data.answers))
    assert run.curve.shape == (120,) and run.curve[0] > 0.8 * chance
    assert run.curve[-10:].mean() < 0.6 * chance
    assert run.recalled()["all"] > 0.3 > run.recalled("unseen")["all"]
    assert run.seconds > 0


def test_the_shares_are_those_of_the_model_s_answers(run, data):
    told = run.recalled()
    with torch.no_grad():
        logits, _ = run.model.eval()(data.seen.features, data.seen.language)
    right = logits.argmax(dim=1) == data.seen.answer
    assert told["all"] == pytest.approx(right.double().mean().item())
    assert told["ru"] == pytest.approx(right[60:100].double().mean().item())
    assert told["low"] == told["all"]  # all three have few facts
    with pytest.raises(ValueError, match="'heard'"):
        run.recalled("heard")


def test_nothing_is_dropped_when_the_model_is_asked(run, data):
    """Else the last language in the batch would be the first to be turned away."""
    with torch.no_grad():
        _, (routing,) = run.model.eval()(data.seen.features, data.seen.language)
    assert routing.kept.all() and len(routing.kept) == 2 * len(data.seen)


def test_groups_follow_the_number_of_facts(data):
    assert groups_of(load_lookup()) == {
        "high": ("fr", "es", "de", "ru", "tr"),
        "mid": ("fi", "ja"),
        "low": ("hi", "sw", "el"),
    }
    assert groups_of(data) == {"low": ("fr", "ru", "sw")}


def test_facts_of_another_width_are_refused(data):
    with pytest.raises(ValueError, match=r"8 features but d_model=16: call load_look"):
        train_lookup(TINY.but(d_model=16), data)


# -- who shares experts --------------------


def test_counts_are_the_router_s_first_choices(run, data):
    told = sharing(run.model, data)
    with torch.no_grad():
        _, (routing,) = run.model.eval()(data.seen.features, data.seen.language)
    first = routing.router_logits.argmax(dim=1)
    by_hand = [
        [((data.seen.language == i) & (first == e)).sum().item() for e in range(4)]
        for i in range(3)
    ]
    assert told.counts.tolist() == by_hand
    gates = F.one_hot(first, 4).float()
    nats = mutual_information(gates, data.seen.language)
    assert told.bits == pytest.approx(nats / math.log(2))
    with pytest.raises(ValueError, match="no router: give a mixture's"):
        sharing(new_model(TINY.but(arm="dense"), data, 0), data)


def test_distances_against_the_definition():
    one = Sharing(("fr", "es", "ru"), torch.tensor([[3, 1], [6, 2], [0, 5]]))
    assert one.distances[0, 1] == pytest.approx(0, abs=1e-12)
    p, q = torch.tensor([0.75, 0.25]), torch.tensor([0.0, 1.0])
    m = (p + q) / 2
    kl_p = (p * (p / m).log2()).sum()
    js = 0.5 * kl_p + 0.5 * (1 / m[1]).log2()
    assert one.distances[0, 2] == pytest.approx(js.item(), abs=1e-6)
    assert one.nearest == {"fr": "es", "es": "fr", "ru": "fr"}
    assert one.mean_distance(same_script=False) == pytest.approx(js.item(), abs=1e-6)
    assert one.mean_distance(same_script=True) == pytest.approx(0, abs=1e-12)
    apart = Sharing(("a", "b"), torch.tensor([[4, 0], [0, 9]]))
    assert apart.distances[0, 1] == pytest.approx(1) and 0.85 < apart.bits < 0.95


@given(st.lists(st.lists(st.integers(0, 50), min_size=3, max_size=3),
                min_size=2, max_size=6))  # fmt: skip
def test_distances_are_symmetric_and_at_most_a_bit(rows):
    counts = torch.tensor(rows) + torch.eye(3, dtype=torch.int64)[0]
    one = Sharing(tuple("abcdef"[: len(rows)]), counts)
    assert torch.allclose(one.distances, one.distances.T)
    assert one.distances.min() >= 0 and one.distances.max() <= 1 + 1e-9
    assert -1e-9 < one.bits <= math.log2(3)


def test_chance_is_what_shuffled_labels_give():
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat(250)
    found = []
    for _ in range(60):
        dealt = torch.randint(5, (1000,), generator=draw)
        cells = (labels * 5 + dealt).bincount(minlength=20).view(4, 5)
        found.append(Sharing(tuple("abcd"), cells))
    mean = sum(one.bits for one in found) / len(found)
    assert mean == pytest.approx(found[0].chance, rel=0.15)


def test_counts_come_back_from_columns(run, data):
    group = [sharing(run.model, data), sharing(new_model(TINY, data, 0), data)]
    columns = sharing_columns("trained", group)
    back = sharings_from(columns, "trained")
    assert [one.counts.tolist() for one in back] == [g.counts.tolist() for g in group]
    assert back[0].languages == ("fr", "ru", "sw")
    with pytest.raises(ValueError, match="no column 'dense: "):
        sharings_from(columns, "dense")
    with pytest.raises(ValueError, match="at least one name of each"):
        Sharing(("fr", "es"), torch.tensor([[1, 1], [0, 0]]))


# -- the long measurements, short --------------------


@pytest.fixture
def short(monkeypatch, data):
    seen = []

    def small(*, d_model):
        seen.append(d_model)
        return load_lookup(SIZES, d_model=d_model, num_unseen=10)

    monkeypatch.setattr(long, "load_lookup", small)
    config = {"base": TINY.but(steps=51).config, "widths": (4, 8)}
    arms = {"dense": ({"arm": "dense"}, (0.02, 0.04)), "mixture": ({}, (0.04,))}
    return {**config, "arms": arms}, seen


def test_measured_columns(short):
    config, widths = short
    columns = long.measure_arms(config, [0])
    names = ("dense at 0.02", "dense at 0.04", "mixture at 0.04")
    kinds = ("all", "low", "unseen", "seconds")
    assert set(columns) == {f"{n}: {k}" for n in names for k in kinds}
    assert all(len(column) == 1 for column in columns.values())
    by_width = long.measure_widths(config, [0])
    assert {c.split(",")[0] for c in by_width} == {"4", "8"} and widths[1:] == [4, 8]
    told = long.measure_languages(config, [0, 1])
    assert len(told) == 2 * 3 * 4
    assert told["trained: fr to 0"].tolist() != told["untrained: fr to 0"].tolist()


def test_an_arm_counts_at_its_best_rate():
    columns = {f"dense at {r}: all": torch.tensor([v, v]) for r, v in
               (("0.02", 5.0), ("0.04", 7.0), ("0.08", 6.0))}  # fmt: skip
    columns |= {"mixture: all": torch.tensor([8.0, 9.0])}
    assert long.best_name(columns, "dense") == "dense at 0.04"
    assert long.best_name(columns, "mixture") == "mixture"
    with pytest.raises(ValueError, match="no column 'wide: all'"):
        long.best_name(columns, "wide")


# -- claims --------------------


def columns(**shares):
    """Per cent of all arms, with a little spread; ``high``, ``low``: of the mixture."""
    values = {"dense": 60, "dense, twice as long": 65, "mixture": 80,
              "roomy mixture": 81, "wide": 80}  # fmt: skip
    parts = {"high": shares.pop("high", 80), "low": shares.pop("low", 80)}
    spread = torch.tensor([0.0, 0.4, -0.4]).double()
    told = {}
    for arm, value in {**values, **shares}.items():
        for part in ("all", "high", "low", "unseen", "mid", "seconds"):
            mean = parts.get(part, value) if arm == "mixture" else value
            told[f"{arm} at 0.02: {part}"] = (6 if part == "unseen" else mean) + spread
    return told


def verdicts(*groups):
    return {claim.id.split("M3.")[1]: claim.verdict for claim in groups}


def test_claims_follow_the_values():
    told = verdicts(*claims.arm_claims(columns(high=90, low=70)))
    assert set(told.values()) == {HOLDS} and len(told) == 6
    told = verdicts(*claims.arm_claims(columns(high=70, low=90)))
    assert told["names-resource"] == FAILS
    told = verdicts(*claims.arm_claims(columns(mixture=50)))
    failing = ("names", "names-time", "names-parameters", "names-roomy")
    assert [told[name] for name in failing] == [FAILS] * 4


def test_the_gap_closes_or_not():
    gaps = {"16, dense": 60, "16, mixture": 80, "32, dense": 98, "32, mixture": 99}
    spread = torch.tensor([0.0, 0.4, -0.4]).double()
    wide = {f"{name} at 0.02: all": value + spread for name, value in gaps.items()}
    assert claims.width_claim(wide).verdict == HOLDS
    wide["32, dense at 0.02: all"] -= 60
    assert claims.width_claim(wide).verdict == FAILS


def test_sharing_is_judged_by_script_and_by_french():
    codes = ("fr", "es", "ru")
    near = torch.tensor([[50, 50], [49, 51], [5, 95]])
    runs = [Sharing(codes, near), Sharing(codes, near + 1)]
    assert set(verdicts(*claims.sharing_claims(runs)).values()) == {HOLDS}
    turned = [Sharing(("fr", "ru", "es"), one.counts) for one in runs]
    assert set(verdicts(*claims.sharing_claims(turned)).values()) == {FAILS}


def test_arithmetic_is_equal_at_every_width():
    assert claims.arithmetic_claim().verdict == EXACT
    assert SCRIPTS.keys() < LANGUAGES.keys()


# -- tables --------------------


def test_tables_tell_costs_and_neighbours():
    table = arms_table(columns())
    assert [row[0] for row in table.rows] == list(long.NAMES.config["arms"])
    flops = {row[0]: row[1] for row in table.rows}
    assert flops["dense"] == flops["mixture"] != flops["wide"]
    assert table.rows[2][5] == "80.0 ± 0.4" and "80" not in repr(table)
    one = Sharing(("fr", "es", "ru"), torch.tensor([[3, 1], [6, 2], [0, 5]]))
    table = sharing_table({"trained": [one, one], "untrained": [one]})
    assert [row[0] for row in table.rows] == [
        "trained, 0",
        "trained, 1",
        "untrained, 0",
    ]
    assert table.rows[0][-3:] == ("es", "fr", "fr")


# -- what is stored --------------------


def test_stored_claims_come_from_the_three_measurements(monkeypatch):
    """With made-up results: each claim once, with the origin of its own numbers."""
    spread = torch.tensor([0.0, 0.1, -0.1]).double()
    widths = {f"{w}, {arm} at 0.02: all": value + spread for w, arm, value in
              ((16, "dense", 60), (16, "mixture", 80), (32, "dense", 99),
               (32, "mixture", 99))}  # fmt: skip
    one = Sharing(("fr", "es", "ru"), torch.tensor([[9, 1], [8, 2], [0, 5]]))
    values = [columns(), widths, sharing_columns("trained", [one] * 3)]
    made_up = {
        item.name: replace_origin(item.name, told)
        for item, told in zip(long.MEASUREMENTS, values, strict=True)
    }
    monkeypatch.setattr(claims, "stored", lambda item: made_up[item.name])
    told = claims.stored_claims()
    ids = [claim.id for claim in told]
    assert len(set(ids)) == len(ids) == 9
    assert [name for name, after in pairwise(c.origin for c in told) if name != after]
    assert told[-1].origin.endswith("03-languages`")


def replace_origin(name, told):
    data = {
        "values": {key: value.tolist() for key, value in told.items()},
        "seeds": [0, 1, 2], "date": "today", "seconds": 1.0, "machine": "m",
        "versions": {"torch": "t"},
    }  # fmt: skip
    return replace(StoredResult(name, data))
