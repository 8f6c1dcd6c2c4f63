"""How a Switch model starts and explores: trainers, columns, claims, figures."""

import pytest
import torch

from moe_lib.course import claims_04b_start as claims
from moe_lib.course import measurements_04b_start as long
from moe_lib.course.evidence import EXACT, FAILS, HOLDS, NOISE
from moe_lib.course.exploring import WAYS
from moe_lib.course.left_behind import NoTokenLeftBehindRouter
from moe_lib.course.measurements_04b_start import ARMS, AT_ONE, NOBODY
from moe_lib.course.switch_setup import Setup
from moe_lib.data.text import load_text
from moe_lib.figures.start import exploration_costs, initial_scales
from moe_lib.language_modelling import evaluate
from moe_lib.layer import MoE

TINY = Setup(num_experts=4, d_model=16, d_ff=16, tokens=512, warmup=4, lr=0.01)
MARKS = (10, 20)


@pytest.fixture(scope="module")
def text():
    return load_text()


@pytest.fixture(scope="module")
def config():
    return {"base": TINY.config, "scales": (1, 0.1), "checkpoints": MARKS}


@pytest.fixture(scope="module")
def explored(config):
    arms = ("jitter", AT_ONE, NOBODY)
    return long.measure_exploration({**config, "arms": arms}, [0])


def router(trainer):
    (mixture,) = (part for part in trainer.model.modules() if isinstance(part, MoE))
    return mixture.router


def made_up(arms, seeds=4, pieces=5):
    """Columns in which the arms differ in nothing, and a seed from a seed by chance."""
    draw = torch.Generator().manual_seed(0)
    columns, noise = {}, 0.01 * torch.randn(seeds, 3, generator=draw)
    for arm in arms:
        columns[f"{arm}: bits"] = noise + torch.tensor([5.0, 4.0, 3.0])
        columns[f"{arm}: training"] = 3 + torch.rand(seeds, pieces, generator=draw)
        columns[f"{arm}: busiest"] = 1 + torch.rand(seeds, 3, generator=draw)
        columns[f"{arm}: dropped"] = torch.full((seeds,), 0.1 * (arm != NOBODY))
    return columns


SCALED = [f"scale {scale:g}" for scale in long.SCALES]


# -- trainers and columns -----------------------------------------------------------


def test_all_arms_start_from_the_same_weights(text):
    trainers = {arm: long.exploring_trainer(TINY, text, arm, 3) for arm in ARMS}
    first = trainers["argmax"].model.state_dict()
    for arm, trainer in trainers.items():
        state = trainer.model.state_dict()
        assert all(torch.equal(state[name], w) for name, w in first.items()), arm
        at_one = arm in (AT_ONE, NOBODY)
        assert router(trainer).slots.capacity_factor == (1.0 if at_one else 1.25)
        assert router(trainer).slots.eval_capacity_factor == 4
    kinds = {arm: type(router(trainer)) for arm, trainer in trainers.items()}
    assert kinds[NOBODY] is NoTokenLeftBehindRouter
    assert kinds[AT_ONE] is kinds["argmax"] is kinds["jitter"]
    assert len(set(kinds.values())) == 4


def test_the_loss_of_nobody_left_behind_counts_first_choices(text):
    trainer = long.exploring_trainer(TINY, text, NOBODY).run(2)
    assert "first_choice_loss" in trainer.history
    assert "load_balancing_loss" not in trainer.history


def test_columns_of_exploration(explored, text):
    arms = {name.split(": ")[0] for name in explored}
    assert arms == {"jitter", AT_ONE, NOBODY}
    for arm in arms:
        assert explored[f"{arm}: bits"].shape == (1, 2)
        assert explored[f"{arm}: training"].shape == (1, 2)
        assert (explored[f"{arm}: busiest"] >= 1).all()
    assert explored[f"{NOBODY}: dropped"].item() == 0 < explored[f"{AT_ONE}: dropped"]
    alone = long.exploring_trainer(TINY, text, "jitter").run(20)  # turns change nothing
    bits = evaluate(alone.model, text, TINY.span).mean()
    assert torch.equal(explored["jitter: bits"][0, -1], bits)
    pieces = alone.history["bits_per_byte"].view(2, 10).mean(dim=1)
    assert torch.equal(explored["jitter: training"][0], pieces)


def test_the_busiest_expert_is_counted_on_all_held_out_bytes(text):
    trainer = long.exploring_trainer(TINY, text, "argmax")
    router(trainer).gate.weight.data.zero_()  # all ties: expert 0
    assert long.busiest(trainer.model, text, TINY).item() == 4


def test_columns_of_initialisation(config, text):
    columns = long.measure_initialisation({**config, "checkpoints": (10,)}, [0, 1])
    assert next(iter(columns)) == "scale 1: bits"
    assert columns["scale 1: bits"].shape == (2, 1)
    large, small = (long.scaled_trainer(TINY, text, s, 1).model for s in (1, 0.1))
    weights = [m.stack.blocks[0].attention.query.weight for m in (large, small)]
    assert torch.allclose(weights[1], 0.1**0.5 * weights[0], atol=1e-6)
    assert not torch.equal(columns["scale 1: bits"], columns["scale 0.1: bits"])


def test_what_is_measured():
    start, ways = long.MEASUREMENTS
    assert start.config["base"] == Setup(lr=0.01, steps=200).config
    assert ways.config["base"] == Setup(lr=0.01, steps=400).config
    assert len(start.seeds) == 8 and len(ways.seeds) == 4
    for item in long.MEASUREMENTS:
        assert item.config["checkpoints"][-1] == item.config["base"]["steps"]


# -- claims -------------------------------------------------------------------------


def verdicts(made):
    return {claim.id: claim.verdict for claim in made}


def test_without_a_difference_only_the_near_and_the_exact_hold():
    found = verdicts(claims.exploration_claims(made_up(ARMS)))
    assert found.pop("M4.left-behind") == HOLDS
    assert found.pop("M4.left-behind-drops") == EXACT
    assert set(found) == {"M4.sampling-worst", "M4.jitter", "M4.input-dropout"}
    assert set(found.values()) == {NOISE}
    start = verdicts(claims.initialisation_claims(made_up(SCALED, 8)))
    assert start == {"M4.init-quality": NOISE, "M4.init-spread": NOISE}


@pytest.mark.parametrize(("sign", "verdict"), [(1, HOLDS), (-1, FAILS)])
def test_claims_follow_the_paper_s_direction(sign, verdict):
    columns = made_up(ARMS)
    for arm, extra in (("sampled", 0.2), ("input dropout", 0.1), ("jitter", -0.1)):
        columns[f"{arm}: bits"] += sign * extra
    found = verdicts(claims.exploration_claims(columns))
    for name in ("sampling-worst", "jitter", "input-dropout"):
        assert found[f"M4.{name}"] == verdict, name
    start = made_up(SCALED, 8)
    start["scale 1: bits"] += sign * 0.2
    assert verdicts(claims.initialisation_claims(start))["M4.init-quality"] == verdict


def test_sampling_has_to_be_worse_than_the_worst_of_the_others():
    columns = made_up(ARMS)
    columns["sampled: bits"] += 0.2
    columns["jitter: bits"] += 0.4
    assert verdicts(claims.exploration_claims(columns))["M4.sampling-worst"] == FAILS


def test_a_spread_is_a_distance_from_the_middle_seed():
    values = torch.tensor([1.0, 2.0, 10.0, 3.0])
    assert claims.from_median(values).tolist() == [1.5, 0.5, 7.5, 0.5]
    columns = made_up(SCALED, 8)
    bits = columns["scale 1: bits"]
    bits += 30 * (bits - bits.mean(dim=0))
    spread = claims.initialisation_claims(columns)[1]
    assert spread.id == "M4.init-spread" and spread.verdict == HOLDS


def test_a_gain_or_a_dropped_token_speaks_against_left_behind():
    columns = made_up(ARMS)
    columns[f"{NOBODY}: bits"] -= 2 * claims.MARGIN
    columns[f"{NOBODY}: dropped"][2] = 1e-4
    found = verdicts(claims.exploration_claims(columns))
    assert found["M4.left-behind"] == found["M4.left-behind-drops"] == FAILS


# -- figures ------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["both", "light", "dark"])
def test_the_scales_have_a_line_for_each_seed_and_a_row_each(theme):
    columns = made_up(SCALED, 8)
    fig = initial_scales(columns, theme=theme)
    for arm in SCALED:
        lines = [t for t in fig.data if t.name == arm and t.mode == "lines"]
        assert len(lines) == 8 and sum(t.showlegend for t in lines) == 1
        assert len({t.line.dash for t in lines}) == 1
        assert list(lines[3].y) == columns[f"{arm}: training"][3].tolist()
        assert lines[0].x[0] == 5
        mean = columns[f"{arm}: bits"][:, -1].mean()
        assert f"{arm}: {mean:.2f}, SD" in fig.layout.meta["alt"]
    dots = [t for t in fig.data if t.mode == "markers" and len(t.x) == 8]
    bars = [t for t in fig.data if t.error_x.array is not None]
    for k, arm in enumerate(SCALED):
        bits = columns[f"{arm}: bits"][:, -1]
        assert list(dots[k].x) == bits.tolist()
        assert bars[k].x[0] == pytest.approx(bits.mean().item())
        assert bars[k].error_x.array[0] == pytest.approx(bits.std().item())


def test_more_scales_than_dashes_are_refused():
    with pytest.raises(ValueError, match="columns hold 5 scales: give at most 4"):
        initial_scales(made_up([*SCALED, "scale 100"]))


@pytest.mark.parametrize("theme", ["both", "light", "dark"])
def test_exploration_is_drawn_as_differences_of_the_same_seed(theme):
    columns = made_up(ARMS)
    fig = exploration_costs(columns, theme=theme)
    ends = {arm: columns[f"{arm}: bits"][:, -1] for arm in ARMS}
    want = [ends[way] - ends["argmax"] for way in WAYS[1:]]
    want.append(ends[NOBODY] - ends[AT_ONE])
    dots = [t for t in fig.data if t.mode == "markers" and len(t.x) == 4]
    assert [list(t.x) for t in dots] == [values.tolist() for values in want]
    assert list(fig.layout.yaxis.ticktext) == [*WAYS[1:], "overflow sent on"]
    paper = fig.data[-1]
    assert list(paper.x) == pytest.approx([0.099, 0.009, -0.003])
    alt = fig.layout.meta["alt"]
    assert f"sampled {want[0].mean():+.3f}" in alt and "jitter -0.003" in alt
