"""The race as a movie and as a result: they show the numbers they were given."""

import pytest
import torch

from moe_lib.course.race_setup import Setup, field
from moe_lib.course.switch_runs import SwitchRun
from moe_lib.figures.race_movie import MOST_FRAMES, race_movie
from moe_lib.figures.race_result import PANELS, STEPWISE, race_result

THEMES = pytest.mark.parametrize("theme", ["both", "light", "dark"])


def made_up_runs(steps=60, masked=False):
    """Runs in which a later router is always better."""
    runs = {}
    for k, (name, setup) in enumerate(field(Setup(masked=masked)).items()):
        bits = 8 * torch.exp(-torch.arange(steps) / (40 - k))
        history = {"bits_per_byte": bits}
        if name != "dense":
            load = torch.rand(steps, 1, setup.num_experts, generator=torch.Generator())
            history["demand"] = load / load.sum(dim=2, keepdim=True)
        end = torch.tensor([1.0])
        runs[name] = SwitchRun(setup, 0, None, (steps,), end, end, history, {})
    return runs


def made_up_columns(causal):
    draw, columns = torch.Generator().manual_seed(0), {}
    for k, name in enumerate(field(Setup())):
        columns[f"{name}: bits"] = 3 + 0.1 * k + torch.rand(3, 6, generator=draw) / 20
        columns[f"{name}: seconds"] = 20 + torch.rand(3, 6, generator=draw)
        columns[f"{name}: load cv"] = torch.rand(3, 6, generator=draw)
    if causal:
        columns[STEPWISE] = torch.tensor([5.0, 5.1, 5.2])
    return columns


@THEMES
def test_the_movie_plays_all_frames_and_stays_small(theme):
    fig = race_movie(made_up_runs(), theme=theme)
    assert len(fig.frames) == MOST_FRAMES and fig.frames[-1].name == "60"
    assert all(len(f.data) == len(fig.data) == 3 * 8 for f in fig.frames)
    assert len(fig.to_json()) < 300_000
    assert race_movie(made_up_runs(), title="Who?").layout.title.text == "<b>Who?</b>"


def test_the_best_is_on_top_and_loads_stand_in_its_lane():
    runs = made_up_runs()
    *_, before, last = race_movie(runs).frames
    frame, since = last.data, slice(int(before.name), 60)
    lanes = [bar.y[0] for bar in frame[:16:2]]
    assert lanes == sorted(lanes, reverse=True) and lanes[-1] == pytest.approx(0.2)
    means = [r.history["bits_per_byte"][since].mean().item() for r in runs.values()]
    ends = [bar.x[1] for bar in frame[:16:2]]
    assert ends == pytest.approx(means, abs=0.001)
    assert ends == sorted(ends)[::-1]
    for lane, bars, run in zip(
        lanes[1:], frame[16:23], [*runs.values()][1:], strict=True
    ):
        assert bars.base == pytest.approx(lane + 0.14)
        assert len(bars.y) == run.setup.num_experts
        fair = -sum(bars.y) / len(bars.y) * 3 / 0.68  # nobody is above the cap here
        assert fair == pytest.approx(1, abs=0.02)
    assert frame[23].text == ("no experts",)
    assert frame[23].y[0] == pytest.approx(lanes[0] - 0.1)


def test_only_a_decoder_with_expert_choice_sees_ahead():
    for masked in (False, True):
        texts = [
            t.text[0] for t in race_movie(made_up_runs(masked=masked)).data[1:16:2]
        ]
        ahead = [text for text in texts if "(sees ahead)" in text]
        assert len(ahead) == (not masked) and all("expert choice" in a for a in ahead)


def test_runs_of_unlike_length_and_no_runs_are_told():
    with pytest.raises(ValueError, match="dense has 30, Switch has 60: give one"):
        race_movie({"dense": made_up_runs(30)["dense"],
                    "Switch": made_up_runs()["Switch"]})  # fmt: skip
    with pytest.raises(ValueError, match="runs: none: give one or more"):
        race_movie({})


@THEMES
@pytest.mark.parametrize("causal", [True, False])
def test_the_result_has_a_dot_for_each_seed(causal, theme):
    columns = made_up_columns(causal)
    fig = race_result(columns, theme=theme)
    names = list(field(Setup()))
    if causal:
        names.insert(names.index("expert choice") + 1, STEPWISE)
    for col, what in enumerate(PANELS, start=1):
        axis = "x" if col == 1 else f"x{col}"
        for row, name in enumerate(names):
            dots = [t for t in fig.data if t.xaxis == axis and t.y == (row,) * 3]
            if (name, what) == ("dense", "load cv") or (
                name == STEPWISE and what != "bits"
            ):
                assert not dots
                continue
            (seeds,) = dots
            given = columns.get(f"{name}: {what}", torch.zeros(3, 6))[:, -1]
            expected = columns[STEPWISE] if name == STEPWISE else given
            assert list(seeds.x) == pytest.approx(expected)
            hollow = causal and name == "expert choice" and what == "bits"
            assert seeds.marker.symbol == ("circle-open" if hollow else "circle")
    words = [note.text for note in fig.layout.annotations]
    assert sum("(saw ahead)" in text for text in words) == causal
    assert ("Step by step" in fig.layout.meta["alt"]) == causal
    assert "(load CV 0" in fig.layout.meta["alt"]
    assert "first: dense 3." in fig.layout.meta["alt"]


def test_columns_of_something_else_are_told():
    with pytest.raises(ValueError, match="no column 'ROUTER: bits': give a stored"):
        race_result({"a": torch.ones(3)})
