"""Heat map and simplex of the router's probabilities, for every router's table."""

import dataclasses
import time

import pytest
import torch

from moe_lib.figures.palette import colour
from moe_lib.figures.probabilities import probabilities
from moe_lib.figures.simplex import simplex
from moe_lib.notation import letter
from router_kinds import ALL, make, route, tokens

FIGURES = (probabilities, simplex)


def table(kind, count=12, experts=4, mask=None):
    x, ids = tokens(count)
    return route(make(kind, experts), x, ids, mask)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("count, experts", [(12, 4), (6, 64), (2004, 2)])
def test_every_table_is_drawn(kind, count, experts):
    routing = table(kind, count, experts)
    for draw, most in ((probabilities, 64), (simplex, 500)):
        fig = draw(routing)
        said = f"{most} of 2,004 tokens, evenly spaced"
        assert (said in fig.layout.meta["alt"]) == (count > 2000)
        assert (said in fig.layout.xaxis.title.text) == (count > 2000)


@pytest.mark.parametrize(
    "kind", ["softmax", "top_k", "switch", "expert_choice", "hash"]
)
@pytest.mark.parametrize("draw", FIGURES)
def test_one_token_and_one_kept_row_are_drawn(kind, draw):
    assert "1 token" in draw(table(kind, count=1)).layout.meta["alt"]


def test_cells_and_means_are_the_probabilities():
    mask = torch.arange(12) < 9
    routing = table("top_k", mask=mask)
    words = [f"word {t}" for t in range(12)]
    fig = probabilities(routing, words)
    heat, bars, _ = fig.data
    assert fig.layout.yaxis.ticktext == tuple(words[:9])
    probs = routing.router_probs[:9]
    for cells, row in zip(heat.z, probs.tolist(), strict=True):
        for e, (z, p) in enumerate(zip(cells, row, strict=True)):
            assert z - e == pytest.approx(p, abs=2e-3)
    assert bars.y == pytest.approx(probs.mean(dim=0).tolist())
    assert heat.customdata[3][1] == f"word 3, B: {probs[3, 1]:.2f}"
    most = int(probs.mean(dim=0).argmax())
    alt = fig.layout.meta["alt"]
    assert "9 tokens by 4 experts" in alt
    assert f"highest on average: {letter(most)} with" in alt
    assert f"favourite {probs.amax(dim=1).mean():.2f} on average" in alt


def test_without_texts_the_rows_are_sorted_by_favourite():
    fig = probabilities(table("top_k", 40))
    owners = [max(range(4), key=lambda e: row[e] - e) for row in fig.data[0].z]
    assert owners == sorted(owners) and len(set(owners)) > 1


def test_a_token_stands_at_the_mean_of_the_corners():
    routing = table("top_k", 30, 3)
    fig = simplex(routing)
    marks, corners = fig.data[-2:]
    places = torch.tensor([corners.x, corners.y]).T / 1.1
    expected = routing.router_probs.detach() @ places
    assert torch.allclose(torch.tensor([marks.x, marks.y]).T, expected, atol=2e-3)
    assert corners.text == ("<b>A</b>", "<b>B</b>", "<b>C</b>")
    best = routing.expert_index.view(30, 2)[:, 0].tolist()
    assert marks.marker.color == tuple(colour(e) for e in best)
    assert set(marks.marker.symbol) == {"circle"}


def test_a_token_that_nobody_serves_is_hollow():
    routing = table("switch", 24, 3)
    fig = simplex(routing)
    open_marks = [s.endswith("-open") for s in fig.data[-2].marker.symbol]
    assert open_marks == [not kept for kept in routing.kept.tolist()]
    lost = sum(open_marks)
    assert lost and f"hollow: {lost} token" in fig.layout.meta["alt"]
    nobody = dataclasses.replace(routing, kept=torch.zeros_like(routing.kept))
    assert "hollow: 24 tokens" in simplex(nobody).layout.meta["alt"]


def test_two_experts_are_a_line_and_chosen_ones_add_to_one():
    routing = table("top_k", 50, 4)
    marks = simplex(routing, experts=(3, 1)).data[-2]
    pair = routing.router_probs[:, [3, 1]].detach()
    share = (pair / pair.sum(dim=1, keepdim=True))[:, 1]
    assert torch.allclose(torch.tensor(marks.x), 2 * share - 1, atol=2e-3)
    assert len({(round(20 * x), y) for x, y in zip(marks.x, marks.y, strict=True)}) > 25
    assert "only D, B, their sum made 1" in simplex(
        routing, experts=(3, 1)).layout.xaxis.title.text  # fmt: skip


def test_more_than_three_corners_are_called_a_projection():
    routing = table("switch", 20, 4)
    assert "4 probabilities in two dimensions: unlike tokens may meet" in (
        simplex(routing).layout.xaxis.title.text)  # fmt: skip
    hashed = simplex(table("hash", 20, 4), experts=(0, 1, 2))
    assert "left out: no chance of these" in hashed.layout.meta["alt"]


def test_only_padding_gives_an_empty_picture():
    routing = table("top_k", mask=torch.zeros(12, dtype=torch.bool))
    for draw in FIGURES:
        assert "12 padding tokens left out" in draw(routing).layout.meta["alt"]


@pytest.mark.parametrize(
    ("make_figure", "complaint"),
    [
        (lambda r: probabilities(r, ["one"]), "1 texts but the routing has 12 tokens"),
        (lambda r: simplex(r, experts=(1, 1, 2)), r"\[1, 1, 2\]: give some experts"),
        (
            lambda r: simplex(r, experts=(1, 9)),
            "there is no 9; give numbers from 0 to 3",
        ),
        (lambda r: simplex(r, theme="night"), "theme='night': choose one of"),
    ],
)
def test_bad_input_is_told_in_one_line(make_figure, complaint):
    with pytest.raises(ValueError, match=complaint) as error:
        make_figure(table("top_k"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("draw", FIGURES)
def test_drawn_in_time(draw):
    """Measured 40 ms; processor time, so that a busy machine does not matter much."""
    routing, times = table("gshard", 64, 16), []
    for _ in range(5):
        start = time.process_time()
        draw(routing).to_json()
        times.append(time.process_time() - start)
    assert min(times) < 0.1
