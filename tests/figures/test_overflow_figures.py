"""The slots scene shows what the router did; the drop curves what was measured."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lib.course.overflow import drops_by_factor
from moe_lib.figures.overflow import drop_curves
from moe_lib.figures.slots_panels import LINE, SHAPES
from moe_lib.figures.slots_scene import MOST, slots_scene
from moe_lib.models.small_router import SmallRouter, tokenize
from moe_lib.widgets import check

SENTENCE = (
    "Every morning the two old bakers of our town carry warm bread up the hill, and"
    " the children who wait at the school gate take the first piece while it is hot."
)


def layers(panel, kind):
    return [layer for layer in panel if layer["type"] == kind]


def badges(panel):
    return [x for x in layers(panel, "line") if "label" in x]


@settings(max_examples=10, deadline=None)
@given(words=st.integers(1, 40), experts=st.sampled_from([2, 4, 8]))
def test_the_scene_draws_the_router_s_table(words, experts):
    sentence = " ".join(
        (SENTENCE.replace(",", "").replace(".", "").split() * 2)[:words]
    )
    tokens = tokenize(sentence)[:MOST]
    scene = check(
        slots_scene(
            sentence, num_experts=experts, capacity_factors=(0.5, 1, 2), groups=(1, 4)
        )
    )
    assert [layer["text"] for layer in scene["panels"][0]["layers"]] == tokens
    assert all(0 <= layer["x"] < LINE for layer in scene["panels"][0]["layers"])
    assert scene["start"] == 1 and scene["variants"]["slider"]
    small = SmallRouter.load()
    for groups, row in zip((1, 4), scene["states"], strict=True):
        for factor, state in zip((0.5, 1, 2), row, strict=True):
            router = small.router(
                "gshard", experts, capacity_factor=factor, group_size=MOST // groups
            )
            logits = small.logits(tokens, experts)
            mask = None
            if len(tokens) < MOST:
                pad = MOST - len(tokens)
                logits = logits.new_zeros(MOST, experts).index_copy(
                    0, logits.new_tensor(range(len(tokens))).long(), logits
                )
                mask = logits.new_tensor([1] * len(tokens) + [0] * pad).bool()
            routing = router.route(logits, mask)
            kept = int(routing.kept.sum())
            served = set(routing.token_index[routing.kept].tolist())
            alone = len(tokens) - len(served)
            readout = dict(state["readout"])
            assert readout == {
                "capacity C": str(routing.capacity),
                "too late": f"{2 * len(tokens) - kept} of {2 * len(tokens)}",
                "words that nobody reads": str(alone),
                "empty places": str(groups * experts * routing.capacity - kept),
            }
            text, buffers = state["panels"]
            assert len(badges(text)) == kept
            struck = [x for x in layers(text, "line") if x["color"] == "accent"]
            assert len(struck) == alone
            assert ("Nobody" in state["caption"]) == bool(alone)
            (late,), (marks,) = layers(text, "points"), layers(buffers, "points")
            assert all(late["hollow"])
            assert len(late["x"]) == sum(marks["hollow"]) == 2 * len(tokens) - kept
            assert len(badges(buffers)) == experts
            walls = [x for x in layers(buffers, "line") if x["color"] == "ink"]
            assert len(walls) == groups


def test_a_mark_is_hollow_just_where_it_stands_beyond_the_wall():
    scene = slots_scene(SENTENCE)
    for row in scene["states"]:
        for state in row:
            buffers = state["panels"][1]
            (marks,) = layers(buffers, "points")
            walls = sorted(
                x["x"][0] for x in layers(buffers, "line") if x["color"] == "ink"
            )
            starts = sorted({band["x"][0] for band in layers(buffers, "band")})
            for x, hollow in zip(marks["x"], marks["hollow"], strict=True):
                group = sum(start <= x for start in starts) - 1
                assert hollow == (x > walls[group])
            assert set(marks["shape"]) == set(SHAPES)


def test_more_room_never_loses_a_word_and_groups_cost_words():
    scene = slots_scene(SENTENCE)
    late = [
        [int(dict(state["readout"])["too late"].split()[0]) for state in row]
        for row in scene["states"]
    ]
    assert all(row == sorted(row, reverse=True) and row[-1] == 0 for row in late)
    assert sum(late[0]) < sum(late[1]) < sum(late[2])
    assert "32 tokens" in scene["alt"] and "capacity factor 0.5" in scene["alt"]


def test_bad_arguments_say_what_to_give():
    with pytest.raises(ValueError, match="has no word: give at least one"):
        slots_scene("  ")
    with pytest.raises(ValueError, match="3 does not divide 32 tokens, give divisors"):
        slots_scene(SENTENCE, groups=(1, 3))


@pytest.mark.parametrize("theme", ["both", "light", "dark"])
def test_drop_curves_draw_probability_and_measurement(theme):
    curves = drops_by_factor(groups=(1, 64), factors=(0.5, 1.0), seeds=2)
    fig = drop_curves(curves, "capacity factor", theme=theme)
    assert fig.to_json() and [t.mode for t in fig.data] == ["lines", "markers"] * 2
    assert list(fig.data[0].y) == pytest.approx((100 * curves[0].expected).tolist())
    assert list(fig.data[3].y) == pytest.approx(
        (100 * curves[1].measured.mean(dim=1)).tolist()
    )
    assert "1 group of 1,024: 50.0% at 0.5" in fig.layout.meta["alt"]
    assert fig.layout.xaxis.title.text == "capacity factor"
    with pytest.raises(ValueError, match="curves holds 6: give at most 4"):
        drop_curves(curves * 3, "capacity factor")
