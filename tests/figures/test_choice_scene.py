"""The map from token choice to expert choice shows what the two routers do."""

import pytest

from moe_lib.course.one_bar import one_bar
from moe_lib.figures.choice_scene import STEPS, choice_scene
from moe_lib.models.small_router import SmallRouter, tokenize
from moe_lib.widgets import check

SENTENCE = (
    "Every morning the two old bakers of our town carry warm bread up the hill, and"
    " the children who wait at the school gate take the first piece while it is hot."
)


@pytest.mark.parametrize("words", [1, 2, 7, 24, 33])
@pytest.mark.parametrize("experts", [2, 8, 16])
def test_the_scene_draws_the_choices(words, experts):
    sentence = " ".join(SENTENCE.split()[:words])
    tokens = tokenize(sentence)[:24]
    scene = check(choice_scene(sentence, num_experts=experts))
    probs = SmallRouter.load().logits(tokens, experts).softmax(dim=1)
    for step, state in enumerate(scene["states"][0]):
        choice = one_bar(probs, 2, step / STEPS)
        (marks, *struck), load, served = state["panels"]
        pairs = zip(marks["size"], marks["hollow"], strict=True)
        filled = [size > 0 and not hollow for size, hollow in pairs]
        assert filled == choice.kept.flatten().tolist()
        assert sum(marks["hollow"]) == choice.late
        assert len(struck) == int((choice.experts == 0).sum())
        (bars,) = (layer for layer in load if layer["type"] == "bars")
        assert bars["value"] == choice.load.tolist()
        assert sum(served[0]["value"]) == len(tokens)
        assert dict(state["readout"])["too late"] == str(choice.late)


def test_at_the_end_the_load_is_even_and_some_word_is_read_by_nobody():
    scene = choice_scene(SENTENCE)
    first, last = scene["states"][0][0], scene["states"][0][-1]
    assert dict(last["readout"])["CV of the load"] == "0.00"
    assert dict(last["readout"])["too late"] == "0"
    assert int(dict(first["readout"])["too late"]) > 0
    assert float(dict(first["readout"])["CV of the load"]) > 0.1
    assert int(dict(last["readout"])["words that nobody reads"]) > 0
    assert scene["alt"].count("too late") == 2


def test_a_sentence_without_a_word_is_refused():
    with pytest.raises(ValueError, match="has no word"):
        choice_scene("  ")
