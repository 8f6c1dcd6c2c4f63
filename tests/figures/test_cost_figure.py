"""The bars of the costs have the lengths that moe_lib.accounting counts."""

import pytest

from moe_lib.accounting import FeedForward
from moe_lib.figures.cost import cost
from published_models import MIXTRAL_8X7B, switch_base

LAYERS = {
    "dense": FeedForward(64, 256),
    "top 2 of 8": FeedForward(64, 256, num_experts=8, top_k=2),
}


def ends(bar):
    return [bar.base + length for length in bar.x]


def test_every_bar_ends_at_its_count():
    fig = cost(LAYERS, num_tokens=128, optimiser="momentum")
    bars = [trace for trace in fig.data if trace.type == "bar"]
    layers = list(LAYERS.values())
    memory = [layer.memory(128, optimiser="momentum") for layer in layers]
    flops = [layer.flops(128) / 128 for layer in layers]
    counted = [
        [layer.active_parameters for layer in layers],
        [layer.total_parameters for layer in layers],
        flops, flops,
        [m.weights for m in memory],
        [m.total for m in memory],
    ]  # fmt: skip
    for bar, values in zip(bars, counted, strict=True):
        assert ends(bar) == pytest.approx(values)
    assert {axis.type for axis in fig.select_xaxes()} == {"linear"}


def test_far_apart_sizes_get_a_log_scale_that_says_so():
    fig = cost({"T5-Base": switch_base(1), "Mixtral 8x7B": MIXTRAL_8X7B})
    assert fig.layout.xaxis.type == "log"
    texts = [text for trace in fig.data for text in trace.text or ()]
    assert "<b>parameters</b> (log)" in texts and "12.9 B of 46.7 B" in texts
    alt = fig.layout.meta["alt"]
    assert "Mixtral 8x7B: 46.7 B parameters, 12.9 B of them active" in alt


@pytest.mark.parametrize("theme", ["light", "dark", "both"])
def test_without_training_memory_is_the_weights(theme):
    fig = cost(LAYERS, optimiser="none", theme=theme)
    solid, hollow = [trace for trace in fig.data if trace.type == "bar"][4:]
    assert ends(solid) == ends(hollow)
    assert "in training" not in fig.layout.meta["alt"]


@pytest.mark.parametrize(
    ("models", "complaint"),
    [
        ({}, "models is empty: give at least one"),
        ({"mine": 7}, "'mine' is a int: give a FeedForward or a Transformer"),
    ],
)
def test_what_is_no_model_is_refused(models, complaint):
    with pytest.raises(ValueError, match=complaint):
        cost(models)
