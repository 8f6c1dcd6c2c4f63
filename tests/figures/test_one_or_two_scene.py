"""The sentence through top-2 and top-1: the scene shows what the routers did."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lib.course.one_or_two import bill, route_both
from moe_lib.figures.one_or_two_scene import FACTORS, one_or_two_scene
from moe_lib.models.small_router import SmallRouter, tokenize
from moe_lib.widgets import check

SENTENCE = (
    "Every morning the two old bakers of our town carry warm bread up the hill, and"
    " the children who wait at the school gate take the first piece while it is hot."
)


@settings(max_examples=10, deadline=None)
@given(words=st.integers(1, 40), experts=st.sampled_from([2, 4, 8, 16]))
def test_the_scene_draws_both_tables(words, experts):
    sentence = " ".join((SENTENCE.split() * 2)[:words])
    tokens = tokenize(sentence)[:32]
    scene = check(one_or_two_scene(sentence, num_experts=experts))
    logits = SmallRouter.load().logits(tokens, experts)
    for panel in scene["panels"]:
        assert [layer["text"] for layer in panel["layers"]] == tokens
    for factor, state in zip(FACTORS, scene["states"][0], strict=True):
        bills = [bill(table) for table in route_both(logits, factor).values()]
        for cost, layers in zip(bills, state["panels"], strict=True):
            badges = [layer for layer in layers if "label" in layer]
            struck = [layer for layer in layers if layer.get("color") == "accent"]
            (late,) = (layer for layer in layers if layer["type"] == "points")
            assert len(badges) == cost.rows and len(struck) == cost.alone
            assert len(late["x"]) == cost.late and all(late["hollow"])
        two, one = bills
        assert state["readout"] == [
            ["places of each expert", str(one.places)],
            ["top-2, top-1: words unread", f"{two.alone}, {one.alone}"],
            ["too late", f"{two.late} of {two.choices}, {one.late} of {one.choices}"],
            ["dense layers computed", f"{two.arithmetic:.2f}, {one.arithmetic:.2f}"],
            ["rows there and back", f"{2 * two.rows}, {2 * one.rows}"],
            ["kB", ", ".join(str(round(2 * b.rows * 768 * 2 / 1e3)) for b in bills)],
        ]
        assert two.places == one.places and two.padded == one.padded
        assert f"{one.padded:.2f} dense layers" in state["caption"]


def test_more_room_never_loses_a_word_and_the_alt_text_tells_three_states():
    scene = one_or_two_scene(SENTENCE)
    unread = [
        [
            int(n)
            for n in dict(state["readout"])["top-2, top-1: words unread"].split(",")
        ]
        for state in scene["states"][0]
    ]
    assert unread == sorted(unread, reverse=True)
    assert all(two <= one for two, one in unread)
    assert scene["slider"]["values"][scene["start"]] == "1"
    for factor in (0.5, 1, 2):
        assert f"Capacity factor {factor:g}: top-2 leaves " in scene["alt"]


def test_a_sentence_without_a_word_says_what_to_give():
    with pytest.raises(ValueError, match="has no word: give at least one"):
        one_or_two_scene("  ")
