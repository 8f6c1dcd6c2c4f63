"""A full disk and a read-only folder: old files stay whole, all is shown and told."""

import io
import os
import resource
import shutil
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from cases import measurement, record, result, trainer

from moe_lib.course import exercise, kept_file, measurements, progress
from moe_lib.course.exercises import find
from moe_lib.course.leaderboard_standings import keep, kept
from moe_lib.course.long_runs import part_of, run
from moe_lib.course.stored_results import ResultsError

RIGHT = find("01.4").solution
ELSEWHERE = f"%env {kept_file.VARIABLE}=/another/folder/progress.json"


def full(size=300):
    """From here on no file of this process may be longer, as if the disk ended."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def shown_by(function):
    """What it returns and what it shows; the test's own record is a file as well."""
    with io.StringIO() as text, redirect_stdout(text), redirect_stderr(text):
        return function(), text.getvalue()


def said_of(function, *args):
    try:
        return function(*args)
    except (OSError, ResultsError) as error:
        return str(error)


def on_a_full_disk(*args):
    full()
    return said_of(*args)


def test_progress_and_leaderboard_on_a_full_disk(progress_path, answer):
    for number in range(1, 4):
        record(f"01.{number}", words="wrong " * 30)
    assert keep("mine " * 80, result()) == ""
    before = {f: f.read_bytes() for f in progress_path.parent.iterdir()}
    assert len(before) == 2 and all(len(text) > 300 for text in before.values())

    def work():
        full()
        exercise("01.4")(RIGHT)
        return keep("other", result(2.0)), list(kept()[0]), repr(progress())

    (told, names, table), shown = answer(shown_by, work)
    assert "01.4  passes: all" in shown
    assert f"your progress is not kept: {progress_path}: File too large" in shown
    assert ELSEWHERE in shown
    assert told.startswith("your place on the leaderboard is not kept: ")
    assert names == ["mine " * 80]
    assert table.startswith("your progress is not kept: ") and "passed: 3" in table
    assert {f: f.read_bytes() for f in progress_path.parent.iterdir()} == before
    assert record() == ""  # there is room again


def test_a_broken_file_on_a_full_disk_is_set_aside_and_no_new_one_claimed(
    progress_path, answer
):
    progress_path.write_text("{")

    def work():
        full(0)
        return record()

    said = answer(work)
    assert "it is now progress.json.broken; your progress is not kept: " in said
    assert os.listdir(progress_path.parent) == ["progress.json.broken"]


def test_trouble_with_the_lock_is_not_put_on_the_progress_file(
    progress_path, tmp_path, monkeypatch
):
    folder, ready = tmp_path / "temporary", trainer().run(1)
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "file" / "no folder"))
    folder.mkdir()
    (folder / "file").touch()
    said = record()
    assert "your progress is not kept: its lock cannot be made, /" in said
    assert "(Not a directory): set TMPDIR to a folder" in said
    assert ".lock" in said and str(progress_path) not in said
    assert not progress_path.exists()
    with pytest.raises(OSError, match=r"run\.pt is not saved: its lock cannot be made"):
        ready.save(tmp_path / "run.pt")
    with pytest.raises(ResultsError, match="is not measured: its lock cannot be made"):
        run(measurement(), tmp_path)


def test_a_saved_run_on_a_full_disk(tmp_path, answer):
    path = tmp_path / "run.pt"
    trainer().run(2).save(path)
    before = path.read_bytes()
    said = answer(on_a_full_disk, lambda: trainer().run(3).save(path))
    assert said.startswith(f"{path} is not saved (")
    assert "make room there, or save in another folder" in said
    assert path.read_bytes() == before and not list(tmp_path.glob("*.part"))


def test_a_long_measurement_on_a_full_disk(tmp_path, answer, monkeypatch):
    folder = tmp_path / "results"
    item = measurement(seeds=40)
    monkeypatch.setattr(measurements, "registered", lambda: {item.name: item})

    def command():
        full(650)  # room for some of the forty
        return measurements.main([], folder)

    status, errors = answer(shown_by, command)
    assert status == 1
    assert "cannot be written, File too large: make room" in errors
    assert "Traceback" not in errors
    assert os.listdir(folder) == [part_of(item, folder).name]
    run(item, folder)
    assert len(measurements.stored(item, folder)["x"]) == 40


@pytest.fixture
def read_only(monkeypatch):
    """A folder in which the processes of `unprivileged` may not write."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def unprivileged(function, *args):
    """As a user: root may write anywhere."""
    if os.getuid() == 0:
        os.setuid(65534)
    return function(*args)


def test_a_read_only_folder_shows_everything_and_is_told_once(
    read_only, answer, capfd, monkeypatch
):
    monkeypatch.delenv(kept_file.VARIABLE)
    import filelock  # noqa: F401  # the other user may not read where it lies

    def work():
        os.chdir(read_only)
        exercise("01.4")(RIGHT)
        exercise("01.4")(RIGHT)
        table = repr(progress())
        with tempfile.TemporaryDirectory() as folder:
            os.environ[kept_file.VARIABLE] = f"{folder}/sub/mine.json"
            exercise("01.4")(RIGHT)
            return table, repr(progress())

    table, elsewhere = answer(unprivileged, work)
    shown = capfd.readouterr().out
    where = f"your progress is not kept: {read_only}/progress.json: Permission denied"
    assert shown.count("01.4  passes: all") == 3
    assert shown.count(where) == 1 and ELSEWHERE in shown
    assert table.startswith(where) and elsewhere.startswith("exercises passed: 1 of ")


def test_saving_and_measuring_in_a_read_only_folder(read_only, answer):
    import filelock  # noqa: F401

    never = measurement()
    object.__setattr__(never, "measure", lambda config, seeds: 1 / 0)
    with_folder = [
        (lambda: trainer().run(1).save(read_only / "run.pt"), "is not saved ("),
        (lambda: run(never, read_only), "cannot be written, Permission denied"),
    ]
    for work, said in with_folder:
        assert said in answer(unprivileged, said_of, work)
    assert not list(read_only.iterdir())


def test_a_file_where_a_folder_should_be_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(kept_file.VARIABLE, str(tmp_path / "file" / "progress.json"))
    assert "your progress is not kept: " in record()
    with pytest.raises(OSError, match="is not saved"):
        trainer().save(tmp_path / "file" / "run.pt")
    with pytest.raises(ResultsError, match="cannot be written"):
        run(measurement(), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b""
