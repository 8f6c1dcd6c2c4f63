"""Broken files, and files of other editions: told, set aside, nothing wrong shown."""

import json
import os

import pytest
import torch
from cases import measurement, record, result, trainer

from moe_lib.course import progress
from moe_lib.course.leaderboard_contest import leaderboard
from moe_lib.course.leaderboard_standings import keep, kept
from moe_lib.course.long_runs import part_of, run
from moe_lib.course.measurements import stored
from moe_lib.course.stored_results import ResultsError

GOOD = {"state": "passed", "attempts": 1, "first_passed": None, "diagnosis": ""}
BROKEN = {
    "truncated": b'{"format": 1, "exerc',
    "empty": b"",
    "binary": bytes(range(256)),
    "not UTF-8": '{"ü": 1}'.encode("latin-1"),
    "too deep": b"[" * 100_000,
    "another kind": b'{"a": {"b": 1}}',
    "a list": b"[1]",
}
MARK = b"\xef\xbb\xbf"  # Windows editors begin a text with it


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_broken_progress_is_told_and_every_broken_file_is_kept(progress_path, content):
    for times in (1, 2):
        progress_path.write_bytes(content)
        table = progress()
        assert repr(table).startswith("progress.json cannot be read (")
        assert "sets it aside" in repr(table) and table.problem in table._repr_html_()
        assert "is now progress.json.broken" in record(f"01.{times}")
        assert repr(progress()).startswith("exercises passed: 1 of")
    asides = sorted(progress_path.parent.glob("*.broken*"))
    assert [p.read_bytes() for p in asides] == [content, content]


def test_progress_of_a_newer_edition_is_not_lost(progress_path):
    newer = json.dumps({"format": 2, "exercises": {"01.1": GOOD}})
    progress_path.write_text(newer)
    assert "its format 2 is of a newer edition" in repr(progress())
    assert "give the file its name back" in record()
    assert progress_path.with_name("progress.json.broken").read_text() == newer


def test_numbers_too_long_for_a_file_are_refused(progress_path):
    entry = {"01.4": {**GOOD, "state": "tried", "attempts": 10**4299}}
    progress_path.write_text(json.dumps({"format": 1, "exercises": entry}))
    assert "it is no progress file" in record()


def test_what_a_windows_editor_saved_is_read(progress_path):
    content = {"format": 1, "exercises": {"01.1": GOOD}}
    progress_path.write_bytes(MARK + json.dumps(content).encode())
    assert repr(progress()).startswith("exercises passed: 1 of")
    assert record("01.2") == ""
    assert repr(progress()).startswith("exercises passed: 2 of")


def test_a_linked_file_is_written_where_it_lies(progress_path, tmp_path):
    real = tmp_path / "dropbox" / "progress.json"
    progress_path.symlink_to(real)
    for number in (1, 2):
        assert record(f"01.{number}") == "" and progress_path.is_symlink()
    assert len(json.loads(real.read_text())["exercises"]) == 2
    real.write_text("{")
    assert "it is now progress.json.broken, a new one begun" in record()
    assert real.with_name("progress.json.broken").read_text() == "{"
    assert progress_path.is_symlink()


def test_a_link_to_itself_is_told(progress_path):
    progress_path.symlink_to(progress_path)
    assert "Too many levels of symbolic links" in record()
    assert "Too many levels of symbolic links" in repr(progress())


def test_a_folder_of_that_name_is_left_alone(progress_path):
    progress_path.mkdir()
    (progress_path / "mine.txt").touch()
    assert f"{progress_path}: Is a directory" in record()
    assert "Is a directory" in repr(progress())
    assert os.listdir(progress_path) == ["mine.txt"]


def test_exercises_of_other_editions_do_not_disturb_the_table(progress_path):
    old = {"exercises": {"99.1": GOOD, "01.77": GOOD, "01.1": GOOD}, "format": 1}
    progress_path.write_text(json.dumps(old))
    text = repr(progress())
    assert text.startswith("exercises passed: 1 of ")
    assert "99" not in text and "\n  chapter 1   ● ○" in text
    assert record("01.2") == ""
    assert json.loads(progress_path.read_text())["exercises"].keys() == {
        "01.1", "01.2", "01.77", "99.1",
    }  # fmt: skip


def test_what_no_text_file_can_hold_is_kept_all_the_same():
    assert record(passed=False, words="it raises ValueError: \udcff") == ""
    assert "no exercise passed" in repr(progress()).splitlines()[0]


WRONG_RESULTS = [
    '{"mine": {"bits": "2", "steps": 1, "seconds": 1, "flops": 1, "parameters": 1}}',
    '{"mine": {"bits": NaN, "steps": 1, "seconds": 1, "flops": 1, "parameters": 1}}',
    '{"mine": {"bits": 2}}',
    f'{{"mine": {{"bits": {10**400}, "steps": 1, "seconds": 1, "flops": 1,'
    ' "parameters": 1}}',
    '{"mine": 2}',
]


@pytest.mark.parametrize("content", [*BROKEN.values(), *map(str.encode, WRONG_RESULTS)])
def test_a_broken_leaderboard_is_told_and_kept_aside(progress_path, content, capsys):
    file = progress_path.with_name("leaderboard.json")
    file.write_bytes(content)
    course = [one for one in leaderboard().standings if not one.yours]
    assert "leaderboard.json cannot be read (" in capsys.readouterr().out
    assert len(course) == len(leaderboard().standings)
    assert "is now leaderboard.json.broken" in keep("mine", result())
    assert file.with_name("leaderboard.json.broken").read_bytes() == content
    assert kept() == ({"mine": result()}, "")


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_result_is_refused_and_measured_anew(tmp_path, content, capsys):
    item, folder = measurement(), tmp_path / "results"
    run(item, folder)
    good = stored(item, folder)["x"]
    whole = (folder / "99-tiny.json").read_bytes()
    (folder / "99-tiny.json").write_bytes(MARK + whole)
    assert torch.equal(stored(item, folder)["x"], good)
    (folder / "99-tiny.json").write_bytes(content)
    with pytest.raises(ResultsError, match=r"99-tiny .*: run python -m"):
        stored(item, folder)
    part_of(item, folder).write_bytes(content)
    run(item, folder)
    assert "starting anew: 99-tiny " in capsys.readouterr().out
    assert torch.equal(stored(item, folder)["x"], good)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "run.pt"
    trainer().run(5).save(path)
    return path


def refusal(one, path):
    """What `load` says, which must leave the trainer as it was."""
    parts = (one.model, one.optimizer, one.generator)
    before = str([p.state_dict() for p in parts[:2]]), one.generator.get_state()
    with pytest.raises(ValueError) as caught:
        one.load(path)
    assert str([p.state_dict() for p in parts[:2]]) == before[0]
    assert torch.equal(one.generator.get_state(), before[1]) and one.step == 0
    return str(caught.value)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_run_is_refused(saved, share):
    text = saved.read_bytes()
    saved.write_bytes(text[: int(share * len(text))])
    assert refusal(trainer(), saved).startswith(f"{saved} is broken or no file of")
    saved.write_bytes(os.urandom(1000))
    assert "train and save again" in refusal(trainer(), saved)
    torch.save({"model": {}}, saved)
    assert "only here: generator, modules_randomness" in refusal(trainer(), saved)
    saved.unlink()
    saved.mkdir()
    assert "cannot be read (Is a directory)" in refusal(trainer(), saved)


def test_a_run_of_another_kind_of_device_is_refused(saved):
    state = torch.load(saved)
    state["generator"] = state["generator"][:16]  # a GPU's is that short
    torch.save(state, saved)
    assert "was not saved on a cpu: random numbers" in refusal(trainer(), saved)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"width": 4}, "another model: 0.weight is [400, 3] there, [400, 4] here"),
        ({"optimizer": torch.optim.SGD}, "another optimizer: group 0 is 4 weights"),
        ({"schedule": True}, "another scheduler: scheduler is [] there, ["),
    ],
)
def test_a_run_of_something_else_is_refused(saved, other, said):
    assert said in refusal(trainer(**other), saved)
