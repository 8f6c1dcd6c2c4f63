"""The pictures of chapter 1b show what they are given."""

import pytest
import torch

from moe_lib.course.em_race import Curves
from moe_lib.course.hard_gate_race import estimator_errors, sweep_the_gate
from moe_lib.course.where_and_what import WhereWhat
from moe_lib.data.made import zigzag
from moe_lib.figures.between import bias_noise_figure, em_race_figure, sweep_figure
from moe_lib.figures.em_movie import em_scene
from moe_lib.figures.where_and_what import (
    information_figure,
    layers_figure,
)
from moe_lib.widgets import check, compact


def result(seed=0):
    draw = torch.Generator().manual_seed(seed)
    places, digits = torch.rand(9, 4, generator=draw), torch.rand(10, 4, generator=draw)
    share = torch.rand(40, 2, 4, generator=draw).softmax(-1)
    return WhereWhat(
        (0.8, 0.1), (0.1, 0.5), (0.4, 0.0), (0.0, 0.2), share,
        (places / places.sum(),) * 2, (digits / digits.sum(),) * 2, 0.1,
    )  # fmt: skip


def test_the_em_movie_is_a_scene_with_every_case_in_every_state():
    x, y, _ = zigzag(30)
    scene = check(compact(em_scene(x, y, {"one": 4, "two": 1}, [0, 1, 5])))
    assert [len(row) for row in scene["states"]] == [3, 3]
    for state in scene["states"][0]:
        layers = state["panels"][0]
        points = [layer for layer in layers if layer["type"] == "points"]
        assert sum(len(layer["x"]) for layer in points) == 30
        bands = [layer for layer in state["panels"][1] if layer["type"] == "band"]
        assert len(bands) == 4
        assert bands[0]["low"] == [0] * 41 and bands[-1]["high"] == [1] * 41
    values = [float(s["readout"][0][1]) for s in scene["states"][0]]
    assert values == sorted(values)
    with pytest.raises(ValueError, match="rising"):
        em_scene(x, y, {"one": 4}, [0, 5, 1])


def test_passes_are_counted_from_the_first_arrival():
    curves = Curves("c", torch.tensor([[0.0, 0.0], [0.6, 0.1], [0.4, 0.2], [0.7, 0.3]]))
    assert curves.passes_to(0.5)[0] == 1 and curves.passes_to(0.5)[1].isnan()
    assert curves.passes_to(0.2)[1] == 2
    assert curves.passes_to(0.0, falling=True).tolist() == [0, 0]


def test_figures_have_alt_text_and_all_their_runs():
    curves = [Curves(n, torch.rand(30, 5)) for n in ("EM", "Adam", "descent")]
    fig = em_race_figure(curves, ceiling=1.0)
    assert len(fig.data) == 1 + 15 and "EM, Adam, descent" in fig.layout.meta["alt"]
    places = torch.cartesian_prod(torch.arange(-1, 2), torch.arange(-1, 2))
    for fig in (
        layers_figure(result(), places),
        information_figure([result(0), result(1)], [result(2)]),
        sweep_figure(sweep_the_gate(points=5, draws=20)),
        bias_noise_figure(estimator_errors(range(2), draws=50)),
    ):
        assert len(fig.layout.meta["alt"]) > 60
        assert fig.layout.paper_bgcolor == "rgba(0,0,0,0)"


def test_the_place_map_names_the_winner():
    run = result()
    places = torch.cartesian_prod(torch.arange(-1, 2), torch.arange(-1, 2))
    fig = layers_figure(run, places)
    marks = fig.data[0]
    winners = ["ABCD"[e] for e in run.places[0].argmax(dim=1).tolist()]
    assert list(marks.text) == winners
    assert list(marks.x) == places[:, 1].tolist()
