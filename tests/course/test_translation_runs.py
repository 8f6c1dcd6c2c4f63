"""Chapter 3's translators: equal arithmetic, runs, stored columns, claims."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from moe_lib.course import claims_03_translation as claims
from moe_lib.course import measurements_03_translation as long
from moe_lib.course.evidence import EXACT, FAILS, HOLDS
from moe_lib.course.translation_runs import train_in_turns, train_translation
from moe_lib.course.translation_setup import Setup, arms
from moe_lib.data.phrases import SHARES
from moe_lib.data.translation import load_translation
from moe_lib.layer import MoE
from moe_lib.translating import exact_matches, nats_per_character

TINY = Setup(num_experts=4, d_model=16, d_ff=16, steps=12, pairs=6, warmup=3)
SIZES = {"fr": 160, "de": 80, "el": 60, "sw": 10}


@pytest.fixture(scope="module")
def data():
    return load_translation(SIZES, num_test=13)


@pytest.fixture(scope="module")
def runs(data):
    return train_in_turns(arms(TINY), data, 3, (5, 12), turn=4)


# -- the models -----------------------------------------------------------------


@given(
    experts=st.integers(2, 40),
    d_model=st.sampled_from([8, 24, 64]),
    half=st.integers(4, 100),
    layers=st.integers(2, 4),
    length=st.integers(1, 60),
)
def test_experts_compute_no_more_than_the_dense_model(
    experts, d_model, half, layers, length
):
    base = Setup(num_experts=experts, d_model=d_model, d_ff=2 * half, num_layers=layers)
    extra = claims.surplus(base, 500, length)
    dense = arms(base)["dense"].flops(500, length)
    routers = 2 * (layers // 2) * 2 * length * d_model * experts
    assert -2 * (layers + 1) * routers <= extra <= 0  # nearly equal, besides
    logits = 2 * length * 500 * d_model  # once, whatever the depth
    deep = arms(base)["deep"].flops(500, length)
    assert deep - logits == 2 * (dense - logits)  # twice the layers


def test_every_second_layer_of_both_sides_is_a_mixture():
    model = TINY.but(num_layers=4).build(90)
    for side in (model.encoder, model.decoder):
        kinds = [isinstance(block.ffn, MoE) for block in side.blocks]
        assert kinds == [False, True, False, True]
        assert side.blocks[1].ffn.experts.num_experts == 4
    deep = arms(TINY)["deep"].build(90)
    assert len(deep.decoder.blocks) == 4
    assert not any(isinstance(part, MoE) for part in deep.modules())


def test_flops_against_the_weights_that_are_used():
    """A product for each weight, but for tables; and attention's scores."""
    setup, length, vocabulary = arms(TINY)["dense"], 7, 90
    model = setup.build(vocabulary)
    weights = sum(w.numel() for n, w in model.named_parameters() if w.ndim > 1
                  and "tokens" not in n)  # fmt: skip
    scores = 3 * setup.num_layers * 4 * length * length * setup.d_model
    table = 2 * length * vocabulary * setup.d_model
    assert setup.flops(vocabulary, length) == 2 * length * weights + scores + table


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"num_experts": 0}, "num_experts=0"), ({"d_ff": 15}, "d_ff=15: give an even"),
     ({"steps": 0}, "steps=0")],
)  # fmt: skip
def test_a_setup_that_cannot_be_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        TINY.but(**changes)


# -- runs -----------------------------------------------------------------------


def test_turns_change_nothing_but_the_time(data, runs):
    alone = train_translation(TINY, data, 3, (5, 12))
    side_by_side = runs["experts"]
    assert torch.equal(alone.curve, side_by_side.curve) and len(alone.curve) == 12
    assert torch.equal(alone.nats, side_by_side.nats)
    assert (alone.seconds.diff() > 0).all() and side_by_side.steps == (5, 12)
    other = train_translation(TINY, data, 4)
    assert other.nats.shape == (1, len(data.test)) and not torch.equal(
        other.nats, alone.nats[1:]
    )


def test_a_run_is_judged_at_its_checkpoints(data, runs):
    run = runs["dense"]
    assert run.nats.shape == run.right.shape == (2, len(data.test))
    assert torch.equal(run.nats[1], nats_per_character(run.model, data.test))
    assert torch.equal(run.right[1], exact_matches(run.model, data.test))
    assert run.nats[1].mean() < run.nats[0].mean()
    assert run.parameters < runs["experts"].parameters


def test_all_arms_read_the_same_batches(data, monkeypatch):
    drawn = {}
    original = type(data).draw

    def draw(self, size, generator):
        batch = original(self, size, generator)
        drawn.setdefault(id(generator), []).append(batch[0].sum().item())
        return batch

    monkeypatch.setattr(type(data), "draw", draw)
    train_in_turns(arms(TINY.but(steps=3)), data, 0, (3,), turn=1)
    first, *others = drawn.values()
    assert len(others) == 2 and len(first) == 3 and all(b == first for b in others)


# -- columns ----------------------------------------------------------------------


def test_parts_and_columns(data, runs):
    parts = long.parts(data)
    assert [*parts] == ["all", *SHARES, "high", "mid", "low", *SIZES]
    assert parts["high"].tolist() == parts["fr"].tolist()
    assert torch.equal(parts["mid"], parts["de"] | parts["el"])  # half is not more
    assert torch.equal(sum(parts[k].int() for k in SHARES), parts["all"].int())
    columns = long.columns_of({n: [r, r] for n, r in runs.items()}, data)
    assert long.arms_of(columns) == ["dense", "experts", "deep"]
    swahili = runs["deep"].right[:, parts["sw"]].float().mean(dim=1)
    assert torch.equal(columns["deep: exact, sw"], torch.stack([swahili] * 2))
    nats = runs["dense"].nats[:, parts["date"]].mean(dim=1)
    assert torch.allclose(columns["dense: nats, date"][1], nats)
    assert "dense: nats, sw" not in columns


def test_thirty_languages_are_unequal():
    assert len(long.MANY) == 30 and sum(long.MANY.values()) > 90_000
    assert set(long.SIZES) < set(long.MANY)
    shares = long.LONG.config["shares"]
    assert shares["date"] / sum(shares.values()) < 0.5 * SHARES["date"] / 9


def made_up(gap=0.1, slow=1.5, turned=0.0):
    """Losses that fall in a line of the steps; experts are ``gap`` better, and at the
    first checkpoint ``gap - turned``; they take ``slow`` times as long."""
    steps = torch.tensor([1.0, 2, 3, 4]).double()
    noise = torch.tensor([[-0.01], [0.0], [0.01]]).double()
    ahead = torch.tensor([gap - turned, gap, gap, gap]).double()
    columns = {}
    for arm, less, pace in (("dense", 0, 1), ("experts", ahead, slow),
                            ("deep", 0.2, 2)):  # fmt: skip
        columns[f"{arm}: seconds"] = (steps * pace).expand(3, 4)
        for part in ("all", "high", "mid", "low"):
            favoured = (arm, part) in {("experts", "high"), ("deep", "low")}
            found = 5 - 0.6 * steps - less - 0.05 * favoured + noise
            columns[f"{arm}: nats, {part}"] = found
    return columns


def test_equal_steps_and_equal_time():
    columns = made_up()
    ends = long.at_the_end(columns, "nats, all")
    assert ends["dense"].mean() - ends["experts"].mean() == pytest.approx(0.1)
    timed = long.at_equal_time(columns, "nats, all")
    late = 0.6 * (4 - 4 / 1.5) - 0.1  # steps that the experts have not yet taken
    assert timed["experts"].mean() - timed["dense"].mean() == pytest.approx(late)
    gap = long.gaps(columns, "all", equal_time=True)
    assert gap[:, 0].isnan().all() and gap[:, -1].mean() == pytest.approx(-late)
    assert torch.allclose(long.gaps(columns, "all"), torch.tensor(0.1).double())


@pytest.mark.parametrize(
    ("item", "names"),
    [(long.SHORT, ["dense", "experts", "deep"]), (long.LONG, ["dense", "experts"])],
)
def test_measured_columns(data, item, names, monkeypatch):
    asked = []

    def load(sizes, shares, *, num_test):
        asked.append((len(sizes), shares["date"], num_test))
        return data

    monkeypatch.setattr(long, "load_translation", load)
    tiny = {**item.config, "base": TINY.config, "checkpoints": (1,)}
    columns = item.measure(tiny, [0])
    assert asked == [(10, 2, 80)] if item is long.SHORT else [(30, 1, 39)]
    assert long.arms_of(columns) == names
    assert {column.shape for column in columns.values()} == {(1, 1)}


# -- claims -------------------------------------------------------------------------


def verdicts(columns):
    made = [*claims.short_claims(columns), *claims.long_claims(columns)]
    return {claim.id.removeprefix("M3.translate-"): claim.verdict for claim in made}


def test_claims_follow_the_numbers():
    good = verdicts(made_up(gap=0.3, slow=1.1, turned=0.2))
    assert set(good.values()) == {HOLDS}
    bad = verdicts(made_up(gap=-0.3, slow=1.1, turned=-0.2))
    kept = {"low", "deep-time", "split-experts", "split-depth"}
    assert {name for name, verdict in bad.items() if verdict == FAILS} == {*bad} - kept
    mixed = verdicts(made_up(gap=0.3, slow=3.0, turned=0.2))
    assert mixed["steps"] == HOLDS and mixed["time"] == mixed["long-time"] == FAILS


def test_the_arithmetic_is_claimed_exactly():
    assert claims.arithmetic_claim(long.Setup(), 527).verdict == EXACT
