"""The movie of the loads: its numbers are the loads', its frames are few and small."""

import json
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lib.figures.history import history
from moe_lib.notation import letter
from router_kinds import ALL, make, route, tokens


def counts(steps=7, experts=5, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 50, (steps, experts), generator=draw) + 1


def same_words(told, row):
    """``told`` names the row's CV, busiest expert and its excess, found by loops."""
    mean = sum(row) / len(row)
    cv = (sum((v - mean) ** 2 for v in row) / len(row)) ** 0.5 / mean
    busiest = letter(max(range(len(row)), key=row.__getitem__))
    found = re.search(r"CV ([0-9.]+), busiest ([A-Z]+): ([0-9.]+) × fair", told)
    assert float(found[1]) == pytest.approx(cv, abs=0.0051)
    assert found[2] == busiest
    assert float(found[3]) == pytest.approx(max(row) / mean, abs=0.051)


@given(steps=st.integers(1, 60), experts=st.integers(1, 12), seed=st.integers(0, 2**30))
@settings(deadline=None, max_examples=8)
def test_every_frame_shows_the_shares_and_numbers_of_its_step(steps, experts, seed):
    table = counts(steps, experts, seed)
    fig = json.loads(history(table).to_json())
    assert len(fig["frames"]) == min(steps, 40)
    for frame in fig["frames"]:
        row = table[int(frame["name"])].tolist()
        bars, cursor, numbers = frame["data"]
        assert bars["y"] == pytest.approx([v / sum(row) for v in row], abs=1e-4)
        assert set(cursor["x"]) == {int(frame["name"])}
        same_words(numbers["text"][0], row)
        kinds = [fig["data"][k]["type"] for k in frame["traces"]]
        assert kinds == ["bar", "scatter", "scatter"]
    alt = fig["layout"]["meta"]["alt"]
    first, last = alt.split(f"; at step {steps - 1} ")
    same_words(first, table[0].tolist())
    same_words(last, table[-1].tolist())
    thinned = f"40 of {steps} steps"
    suffix = fig["layout"]["sliders"][0]["currentvalue"]["suffix"]
    assert (thinned in alt) == (thinned in suffix) == (steps > 40)


def test_the_bands_are_the_shares_of_every_step_and_the_figure_opens_at_the_end():
    table = counts(6, 3)
    fig = history(table, steps=[0, 10, 20, 50, 80, 90])
    bands = [
        trace for trace in fig.data if trace.type == "scatter" and trace.stackgroup
    ]
    shares = table / table.sum(dim=1, keepdim=True)
    for e, band in enumerate(bands):
        assert band.x == (0, 10, 20, 50, 80, 90)
        assert band.y == pytest.approx(shares[:, e].tolist(), abs=1e-4)
    bars = next(trace for trace in fig.data if trace.type == "bar")
    assert bars.y == pytest.approx(shares[-1].tolist(), abs=1e-4)
    assert fig.layout.sliders[0].active == 5
    assert [step.label for step in fig.layout.sliders[0].steps][-1] == "90"


def test_two_runs_move_under_one_slider():
    runs = {"without": counts(9, 4), "with": counts(9, 4, seed=1)}
    fig = history(runs, theme="dark")
    assert len(fig.frames) == 9 and len(fig.layout.sliders) == 1
    assert len(fig.frames[3].data) == 6 == len(set(fig.frames[3].traces))
    assert fig.frames[3].data[5].text[0].startswith("<b>with</b>: CV")
    assert "without: at step 0 CV" in fig.layout.meta["alt"]


@pytest.mark.parametrize("kind", ALL)
def test_routings_count_by_what_was_asked(kind):
    x, ids = tokens(24)
    routings = [route(make(kind, 4, seed), x, ids) for seed in range(3)]
    fig = history(routings)
    for frame, routing in zip(fig.frames, routings, strict=True):
        asked = routing.demand_per_expert
        share = (asked / asked.sum()).tolist()
        assert frame.data[0].y == pytest.approx(share, abs=1e-4)


def test_a_step_in_which_nobody_is_asked_is_drawn():
    fig = history(torch.zeros(2, 3))
    assert "nobody is asked" in fig.layout.meta["alt"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (dict(runs={}), "runs have no steps: give at least one run"),
        (dict(runs=[]), "run '' is empty: give a Routing"),
        (dict(runs={"a": counts(3), "b": counts(4)}), r"\[3, 4\] steps: give"),
        (dict(runs=torch.tensor([[1.0, -2.0]])), r"-2.0 at \[0, 1\]: give counts"),
        (dict(runs=torch.tensor([[1.0, float("nan")]])), r"nan at \[0, 1\]: give"),
        (dict(runs=torch.ones(3)), r"shape \[3\]: give loads"),
        (dict(runs=counts(3), steps=[1, 2]), "2 steps for runs of 3: give one"),
        (dict(runs=counts(3), steps=[1, 5, 5]), "5 too late: give them in rising"),
        (dict(runs=counts(3), theme="grey"), "theme='grey': choose one of"),
    ],
)
def test_bad_input_is_told_in_one_line(arguments, complaint):
    with pytest.raises(ValueError, match=complaint) as error:
        history(**arguments)
    assert "\n" not in str(error.value)


def test_sixteen_experts_over_a_thousand_steps_are_a_small_file():
    assert len(history(counts(1000, 16)).to_json()) < 150_000
