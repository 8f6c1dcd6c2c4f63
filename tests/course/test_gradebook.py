"""The gradebook says what the course's own checks recorded, and stops at nothing."""

import codecs
import csv
import inspect
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import nbformat
import pytest

from moe_lib.course import exercise, gradebook, progress_file
from moe_lib.course.exercises import chapters, exercises, find, tasks
from sources import CHAPTERS, chapter_names
from teaching import exercises_table

NAME, WRONG = next(iter(find("01.4").mistakes.items()))


@pytest.fixture
def told(capsys, monkeypatch):
    """Run the command; (exit status, lines printed, lines on stderr)."""

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["gradebook", *map(str, arguments)])
        capsys.readouterr()
        status = int(gradebook.main())
        said = capsys.readouterr()
        out = said.out.removeprefix("\ufeff")  # by which Excel knows UTF-8
        return status, out.splitlines(), said.err.splitlines()

    return command


@pytest.fixture
def answers(monkeypatch):
    """Answer exercises as a student whose progress is kept in ``file``."""

    def write(file, right=(), wrong=False):
        file.parent.mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv(progress_file.VARIABLE, str(file))
        if wrong:
            exercise("01.4")(WRONG)
        for id in right:
            exercise(id)(find(id).solution)
        return file

    return write


def test_one_student_has_a_row_for_each_exercise(answers, tmp_path, told):
    file = answers(tmp_path / "progress.json", ["01.1"], wrong=True)
    today = json.loads(file.read_text())["exercises"]["01.1"]["first_passed"]
    status, out, _ = told("--csv", file)
    rows = {row["exercise"]: row for row in csv.DictReader(out)}
    assert status == 0 and list(rows) == [task.id for task in tasks("01")]
    assert rows["01.1"] == {
        "exercise": "01.1", "title": find("01.1").title, "state": "passed",
        "attempts": "1", "first passed": today, "last diagnosis": "",
    }  # fmt: skip
    assert (rows["01.4"]["state"], rows["01.4"]["last diagnosis"]) == ("tried", NAME)
    assert (rows["01.2"]["state"], rows["01.2"]["attempts"]) == ("open", "0")
    _, out, _ = told(file)
    assert {line.index("passed") for line in out if line.startswith("01.1")} == {
        out[0].index("state")
    }


def test_a_class_has_a_row_for_each_student(answers, tmp_path, told):
    answers(tmp_path / "class" / "anna" / "progress.json", ["01.1", "01b.2"], True)
    answers(tmp_path / "class" / "ben.json", ["01.4"])
    status, out, err = told("--csv", tmp_path / "class")
    head, sizes, anna, ben = csv.reader(out)
    assert (status, err) == (0, [])
    assert head == ["student", *chapters(), "total"]
    assert list(map(int, sizes[1:-1])) == [len(tasks(c)) for c in chapters()]
    passed = {"01": "1", "01b": "1"}
    assert anna == ["anna", *(passed.get(c, "0") for c in chapters()), "2"]
    assert ben == ["ben", *("1" if c == "01" else "0" for c in chapters()), "1"]


def test_a_folder_with_a_progress_file_is_one_student_s(answers, tmp_path, told):
    answers(tmp_path / "anna" / "progress.json", ["01.1"])
    (tmp_path / "anna" / "leaderboard.json").write_text("{}")
    status, out, _ = told(tmp_path / "anna")
    assert status == 0 and out[0].startswith("exercise") and "01.1" in out[1]


def test_a_file_of_its_own_does_not_hide_a_class(answers, tmp_path, told):
    answers(tmp_path / "class" / "progress.json", ["01.1"])
    answers(tmp_path / "class" / "anna" / "progress.json", ["01.1"])
    answers(tmp_path / "class" / "my_work" / "2026-01-31" / "progress.json", ["01.1"])
    status, _, err = told(tmp_path / "class")
    assert status == 1
    assert "progress.json stands for the whole folder: 1 below it are not" in err[0]


def test_two_of_one_name_are_told_apart(answers, tmp_path, told):
    files = [answers(tmp_path / year / "x" / "anna.json", ["01.1"]) for year in "12"]
    _, out, _ = told(*files)
    assert [line.split()[0] for line in out[2:]] == [str(file) for file in files]


def test_an_entry_without_its_date_is_shown(answers, tmp_path, told):
    file = answers(tmp_path / "anna.json", ["01.1"])
    content = json.loads(file.read_text())
    del content["exercises"]["01.1"]["first_passed"]
    file.write_text(json.dumps(content))
    status, out, _ = told(file)
    assert status == 0 and out[1].split()[-2:] == ["passed", "1"]


def command(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "moe_lib.course.gradebook", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | environment,
    )  # fmt: skip


def test_names_that_the_terminal_cannot_show(answers, tmp_path):
    file = answers(tmp_path / "Łucja" / "progress.json", ["01.1"])
    files = [file, answers(tmp_path / "b.json")]
    out, err = command(*files, PYTHONIOENCODING="cp1252").communicate()
    assert b"?ucja" in out and b"Traceback" not in err
    out, _ = command("--csv", *files, PYTHONIOENCODING="cp1252").communicate()
    assert out.startswith(codecs.BOM_UTF8) and "Łucja".encode() in out


def test_nobody_reads_to_the_end(answers, tmp_path):
    process = command(answers(tmp_path / "anna.json", ["01.1"]))
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 1


@pytest.mark.parametrize("text", ["", "{", '{"format": 2}', "[" * 100_000, None])
def test_what_is_broken_is_named_and_the_rest_goes_on(answers, tmp_path, told, text):
    good = answers(tmp_path / "good.json", ["01.1"])
    bad = tmp_path / "bad.json"
    if text is not None:
        bad.write_text(text)
    status, out, err = told(bad, good)
    assert status == 1
    assert len(err) == 1 and err[0].startswith(f"{bad} cannot be read: ")
    assert [line.split()[0] for line in out[2:]] == [f"{tmp_path.name}/good"]
    status, out, err = told(bad)
    assert (status, out, len(err)) == (1, [], 1)


def test_an_empty_folder_is_told(tmp_path, told):
    assert told(tmp_path)[0] == 1


def test_exercises_of_another_edition_are_listed(answers, tmp_path, told):
    file = answers(tmp_path / "anna.json", ["01.1"])
    content = json.loads(file.read_text())
    content["exercises"]["99.1"] = content["exercises"]["01.1"]
    file.write_text(json.dumps(content))
    status, out, _ = told(file)
    assert status == 0 and out[-1].startswith("99.1") and gradebook.UNKNOWN in out[-1]
    _, out, err = told(file, file)
    assert err == [f"{tmp_path.name}/anna: 99.1 {gradebook.UNKNOWN}"] * 2
    assert out[-1].split()[-1] == "1"  # not counted


def test_nothing_that_students_write_reaches_terminal_or_spreadsheet(
    answers, tmp_path, told
):
    file = answers(tmp_path / "anna.json", wrong=True)
    content = json.loads(file.read_text())
    content["exercises"]["01.4"]["diagnosis"] = "=1+1\x1b[2J\nnew"
    content["exercises"]["01.4"]["first_passed"] = "  =1+1"
    file.write_text(json.dumps(content))
    _, out, _ = told(file)
    assert out[-1].endswith("=1+1 [2J new")
    _, out, _ = told("--csv", file)
    assert list(csv.reader(out))[-1][-2:] == ["'  =1+1", "'=1+1 [2J new"]


def answer_cell(id, source):
    """A cell as a student would fill it in; helpers stand in the function."""
    return f'@exercise("{id}")\n{source}'


RIGHT = textwrap.dedent(inspect.getsource(find("01.4").solution))
CELLS = [
    "from torch import Tensor\nfrom moe_lib.course import exercise",
    answer_cell("01.4", RIGHT),
    'raise RuntimeError("the rest is run as well")',
    answer_cell("01.1", "def f(outputs, gates, targets):\n    return gates"),
    answer_cell("01.2", "def g(*args):\n    raise NotImplementedError"),
]


def submitted(file, cells):
    file.parent.mkdir(parents=True, exist_ok=True)
    cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), file)
    return file


def test_a_submitted_notebook_is_run_and_judged(answers, tmp_path, told):
    notebook = submitted(tmp_path / "anna" / "01.ipynb", CELLS)
    answers(notebook.parent / "progress.json", ["01.3"])  # claimed, and not believed
    status, out, err = told("--run", "--csv", notebook.parent)
    states = {row["exercise"]: row["state"] for row in csv.DictReader(out)}
    assert (status, err) == (0, [f"1 of 1: {notebook}"])
    assert states == {task.id: "open" for task in exercises("01")} | {
        "01.4": "passed", "01.1": "tried",
    }  # fmt: skip


def test_one_that_does_not_end_is_stopped_and_told(tmp_path, told):
    endless = [*CELLS[:2], "while True:\n    pass"]
    notebook = submitted(tmp_path / "ben" / "01.ipynb", endless)
    status, out, err = told("--run", "--seconds", "15", notebook)
    assert status == 1 and len(err) == 2
    assert "did not run to its end" in err[1] and str(notebook) in err[1]
    assert any(line.startswith("01.4") and "passed" in line for line in out)


def test_what_is_no_notebook_is_told_by_the_command(tmp_path):
    file = tmp_path / "anna.ipynb"
    file.write_text("{")
    process = command("--run", file)
    out, err = process.communicate()
    assert process.returncode == 1 and out == b""
    first, second = err.decode().splitlines()
    assert first == f"1 of 1: {file}"
    assert second.startswith(f"{file} did not run to its end: ")


@pytest.mark.parametrize("where", ["off", "OUTSIDE"])
def test_a_notebook_that_names_its_own_progress_file_is_judged(tmp_path, told, where):
    elsewhere = tmp_path / "teacher" / "progress.json"
    where = where.replace("OUTSIDE", str(elsewhere))
    cells = [f"%env {progress_file.VARIABLE}={where}", *CELLS[:2]]
    status, out, _ = told("--run", submitted(tmp_path / "ben" / "01.ipynb", cells))
    assert status == 0 and not elsewhere.exists()
    assert any(line.startswith("01.4") and "passed" in line for line in out)


def test_a_notebook_that_records_nothing_is_told(tmp_path, told):
    notebook = submitted(tmp_path / "ben" / "01.ipynb", ["import nothing_of_that_name"])
    status, _, err = told("--run", notebook)
    assert status == 0
    assert err[1].startswith(f"{notebook} recorded nothing: ")


def test_control_c_prints_what_is_known_and_leaves_no_kernel(tmp_path):
    submitted(tmp_path / "anna" / "01.ipynb", CELLS[:2])
    begun = tmp_path / "begun"
    draft = "import os, time; open('draft', 'w').write(str(os.getpid()))"
    endless = f"{draft}; os.rename('draft', {str(begun)!r}); time.sleep(100)"
    for name in ("ben", "carl"):
        submitted(tmp_path / name / "01.ipynb", [endless])
    process = command("--run", tmp_path)
    until = time.monotonic() + 60
    while not begun.exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    told = err.decode().splitlines()
    assert process.returncode == 1 and b"Traceback" not in err
    assert told[-1] == "stopped: 2 of 3 have not run to the end"
    assert [line.split(" ")[0] for line in told[:-1]] == ["1", "2"]
    name, *_, total = out.splitlines()[-1].split()
    assert (name, total) == (b"anna/01", b"1")
    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)


def test_the_teachers_page_has_every_exercise_and_every_chapter():
    lines = [line for line in exercises_table().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    every = [task for chapter in chapters() for task in tasks(chapter)]
    assert [row[:2] for row in rows] == [[task.id, task.title] for task in every]
    assert {line.count("|") for line in lines} == {7}
    page = (CHAPTERS / "teaching.md").read_text("utf-8")
    assert page.count("@EXERCISES@") == 1
    assert all(f"({name}.ipynb)" in page for name in chapter_names())
