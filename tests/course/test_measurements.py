"""Long measurements: resumable, plain JSON, and refused unless they fit the code."""

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from moe_lib.course import long_runs, measurements
from moe_lib.course.long_runs import run
from moe_lib.course.measurements import listing, main, registered, stored
from moe_lib.course.measurements_01 import RACE, RACES
from moe_lib.course.stored_results import (
    FOLDER,
    Measurement,
    ResultsError,
    difference,
    digest,
    write,
)


def noisy(config, seeds):
    """Values that depend on which seeds are measured together, as in an ensemble."""
    draw = torch.Generator().manual_seed(seeds[0])
    epochs = config["scale"] * torch.rand(len(seeds), generator=draw)
    epochs[torch.tensor([seed == 3 for seed in seeds])] = torch.nan
    return {"epochs": epochs, "arrived": epochs.isfinite()}


TINY = Measurement(
    "99-tiny", "tiny", {"version": 1, "scale": 3.0, "steps": (1, 2)}, range(6), 2, noisy
)
PART = "99-tiny.json.part"


@pytest.fixture(autouse=True)
def one_measurement(monkeypatch):
    monkeypatch.setattr(measurements, "registered", lambda: {TINY.name: TINY})


@pytest.fixture
def done(tmp_path):
    """The folder of a complete result."""
    run(TINY, tmp_path)
    return tmp_path


def stops_after(pieces):
    """TINY, but Ctrl-C comes in a later piece."""
    left = [None] * pieces

    def measure(config, seeds):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return noisy(config, seeds)

    return replace(TINY, measure=measure)


def refusal(folder, item=TINY):
    with pytest.raises(ResultsError) as caught:
        stored(item, folder)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(": run python -m moe_lib.course.measurements 99-tiny")
    return message


def test_a_result_holds_what_is_needed_to_trust_it(done):
    result = stored(TINY, done)
    assert result["epochs"].shape == (6,) and result["epochs"][3].isnan()
    assert result["arrived"].tolist() == [1, 1, 1, 0, 1, 1]
    data = json.loads((done / "99-tiny.json").read_text())
    assert data["config"] == {"version": 1, "scale": 3, "steps": [1, 2]}
    assert data["seeds"] == [0, 1, 2, 3, 4, 5] and data["batch"] == 2
    assert set(data["versions"]) == {"python", "torch", "moe_lib"}
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", data["date"])
    assert re.fullmatch(r"\d+ cores, \w+", data["machine"])
    assert "6 seeds, measured on 20" in result.origin
    assert [path.name for path in done.iterdir()] == ["99-tiny.json"]


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_resumed_run_equals_an_uninterrupted_one(done, tmp_path_factory, pieces):
    folder = tmp_path_factory.mktemp("resumed")
    with pytest.raises(KeyboardInterrupt):
        run(stops_after(pieces), folder)
    part = json.loads((folder / PART).read_text())
    assert len(part["values"]["epochs"]) == 2 * pieces
    assert "not measured yet" in refusal(folder)
    run(stops_after(3 - pieces), folder)  # only what is missing is measured
    one, other = (json.loads((f / "99-tiny.json").read_text()) for f in (done, folder))
    assert one["values"] == other["values"]


@pytest.mark.parametrize(
    "changed",
    [
        replace(TINY, config={**TINY.config, "scale": 4.0}),
        replace(TINY, batch=3),
        replace(TINY, seeds=range(7)),
    ],
)
def test_a_part_of_other_settings_is_not_gone_on_with(tmp_path, changed, capsys):
    with pytest.raises(KeyboardInterrupt):
        run(stops_after(1), tmp_path)
    run(changed, tmp_path)
    assert "starting anew: 99-tiny was measured with other" in capsys.readouterr().out
    assert len(stored(changed, tmp_path)["epochs"]) == len(changed.seeds)


def test_a_part_of_another_torch_is_not_gone_on_with(tmp_path, monkeypatch, capsys):
    with pytest.raises(KeyboardInterrupt):
        run(stops_after(1), tmp_path)
    monkeypatch.setattr(long_runs.torch, "__version__", "1.0")
    run(TINY, tmp_path)
    assert "starting anew: 99-tiny was begun with" in capsys.readouterr().out


def test_an_older_result_stays_until_the_new_one_is_complete(done):
    before = (done / "99-tiny.json").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        run(stops_after(1), done, again=True)
    assert (done / "99-tiny.json").read_bytes() == before
    assert stored(TINY, done)


def leaves(data, path=()):
    """Every path to a number, text or list element in plain data."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        if isinstance(value, (dict, list)):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


def test_an_edit_of_any_field_is_refused(done):
    file = done / "99-tiny.json"
    good = file.read_text()
    paths = list(leaves(json.loads(good)))
    assert len(paths) > 25
    for path in paths:
        data = json.loads(good)
        inner = data
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = f"{inner[path[-1]]}1"
        file.write_text(json.dumps(data))
        assert "edited by hand, its digest does not fit" in refusal(done), path


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"values": {}}', "\x00"])
def test_what_is_no_result_is_refused(tmp_path, text):
    assert "not measured yet" in refusal(tmp_path)
    (tmp_path / "99-tiny.json").write_text(text)
    assert "99-tiny cannot be read" in refusal(tmp_path)


def test_a_result_without_all_seeds_is_refused(done):
    file = done / "99-tiny.json"
    data = json.loads(file.read_text())
    data["values"]["arrived"].pop()
    write(file, data)  # with a digest that fits
    assert "incomplete, 5 of 6 seeds" in refusal(done)
    write(file, {**data, "values": {}})
    assert "incomplete, 0 of 6 seeds" in refusal(done)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"config": {**TINY.config, "scale": 2.5}}, "config.scale: 3 -> 2.5"),
        ({"config": {**TINY.config, "version": 2}}, "config.version: 1 -> 2"),
        ({"config": {**TINY.config, "lr": 1.0}}, "config.lr: missing -> 1"),
        ({"config": {"version": 1, "scale": 3}}, "config.steps: [1, 2] -> missing"),
        ({"config": {**TINY.config, "steps": (1, 3)}}, "steps: [1, 2] -> [1, 3]"),
        ({"seeds": range(100)}, "-> [0, ..., 99] (100 values)"),
        ({"seeds": [0, 1, 2, 3, 4, 6]}, "seeds: [0, 1, 2, 3, 4, 5] -> [0, 1,"),
        ({"batch": 6}, "batch: 2 -> 6"),
    ],
)
def test_changed_settings_are_refused_by_name(done, changes, said):
    message = refusal(done, replace(TINY, **changes))
    assert "measured with other settings" in message and said in message


def test_true_is_not_one():
    assert difference({"a": True}, {"a": 1}) == "a: True -> 1"
    assert difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}) == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"config": {}}, "config\\['version'\\]=None: give a whole number"),
        ({"seeds": [1]}, "number of seeds=1: give a whole number of at least 2"),
        ({"batch": 0}, "batch=0: give a whole number"),
    ],
)
def test_a_measurement_without_sense_is_refused(changes, said):
    with pytest.raises(ValueError, match=f"99-tiny: {said}"):
        replace(TINY, **changes)


def test_a_column_of_the_wrong_length_is_refused(tmp_path):
    short = replace(TINY, measure=lambda config, seeds: {"epochs": [1.0]})
    with pytest.raises(ValueError, match="epochs has 1 values for 2 seeds: give one"):
        run(short, tmp_path)
    assert "not measured yet" in refusal(tmp_path)


def test_the_command_measures_what_is_missing_and_lists(tmp_path, capsys):
    assert main(["--list"], tmp_path) == 0
    assert "99-tiny: tiny. 99-tiny is not measured yet" in capsys.readouterr().out
    assert main([], tmp_path) == 0
    first = (tmp_path / "99-tiny.json").stat().st_mtime_ns
    assert main(["99-tiny"], tmp_path) == 0
    assert (tmp_path / "99-tiny.json").stat().st_mtime_ns == first
    assert main(["99-tiny", "--again"], tmp_path) == 0
    assert (tmp_path / "99-tiny.json").stat().st_mtime_ns > first
    assert listing([TINY], tmp_path).startswith("99-tiny: tiny. 6 seeds, measured on")
    with pytest.raises(SystemExit):
        main(["99-none"], tmp_path)
    assert "'99-none' is unknown: choose from 99-tiny" in capsys.readouterr().err


def test_the_command_goes_on_after_an_interrupted_again(done):
    with pytest.raises(KeyboardInterrupt):
        run(stops_after(2), done, again=True)
    before = json.loads((done / PART).read_text())["values"]["epochs"]
    assert main(["99-tiny"], done) == 0
    assert not (done / PART).exists()
    assert stored(TINY, done)["epochs"][:3].tolist() == before[:3]


SLOW = """
import sys, time
from pathlib import Path
from moe_lib.course import measurements
from moe_lib.course.stored_results import Measurement
from moe_lib.running import deferred_interrupt

def measure(config, seeds):
    with deferred_interrupt():  # as every trainer does
        print("piece", seeds[0], flush=True)
        time.sleep(0 if seeds[0] == 0 else 60)
    return {"x": [1.0]}

item = Measurement("99-slow", "slow", {"version": 1}, range(2), 1, measure)
measurements.registered = lambda: {"99-slow": item}
sys.exit(measurements.main([], Path(sys.argv[1])))
"""


def test_control_c_says_how_to_go_on_and_keeps_the_finished_pieces(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, tmp_path],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = [process.stdout.readline() for _ in range(3)]
    assert said[1:] == ["piece 0\n", "piece 1\n"]
    assert said[0].startswith("99-slow is not measured yet")
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped; to go on: python -m moe_lib.course.measurements 99-slow" in errors
    part = json.loads((tmp_path / "99-slow.json.part").read_text())
    assert part["values"] == {"x": [1]}


# -- the results that ship with the package ---------------------------------------


@pytest.mark.parametrize("name", registered())
def test_shipped_results_are_valid_small_and_tell_no_path(name):
    item = registered()[name]
    assert stored(item).name == name
    text = (FOLDER / f"{name}.json").read_text()
    assert len(text) < 30_000 and "/" not in text
    data = json.loads(text)
    assert data.pop("digest") == digest(data)


def test_no_stored_result_is_without_its_measurement():
    names = {path.name for path in FOLDER.glob("*.json")}
    assert names == {f"{name}.json" for name in registered()}


def test_the_code_still_measures_what_is_stored():
    """The first seeds of one race again: a change of the code shows here."""
    item = replace(RACE, config={**RACE.config, "races": RACES[:1]})
    seeds = list(RACE.seeds)[:3]
    columns, result = item.measure(item.config, seeds), stored(RACE)
    epochs = result["4 experts: epochs"][:3]
    # alone or among others the last bits differ, and with them an epoch or two
    assert torch.allclose(columns["4 experts: epochs"], epochs, atol=3)
    assert torch.allclose(
        columns["4 experts: test"], result["4 experts: test"][:3], atol=0.01
    )
    assert columns["4 experts: survivors"].tolist() == (
        result["4 experts: survivors"][:3].tolist()
    )
