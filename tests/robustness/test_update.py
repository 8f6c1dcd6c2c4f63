"""A new edition over chapters in which the reader has worked: `make update`."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "update.py"
PLAIN = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b", "GIT_TERMINAL_PROMPT": "0",
}  # fmt: skip
ONE, TWO = "chapters/01_one.ipynb", "chapters/02_two.ipynb"


def git(folder, *arguments):
    return subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True,
        env=PLAIN,
    ).stdout  # fmt: skip


def notebook(source, output="old"):
    answers = [{"output_type": "stream", "name": "stdout", "text": [output]}]
    cell = {"cell_type": "code", "source": [source], "outputs": answers}
    return json.dumps({"cells": [cell], "nbformat": 4})


def publish(upstream, **files):
    for name, text in files.items():
        path = upstream / "chapters" / f"{name}.ipynb"
        path.write_text(text)
    git(upstream, "add", "-A")
    git(upstream, "commit", "-qm", "edition")


@pytest.fixture
def upstream(tmp_path):
    folder = tmp_path / "upstream"
    (folder / "tools").mkdir(parents=True)
    (folder / "chapters").mkdir()
    git(folder.parent, "init", "-q", "-b", "main", "upstream")
    shutil.copy(TOOL, folder / "tools")
    shutil.copy(TOOL.parents[1] / ".gitignore", folder)
    publish(folder, **{"01_one": notebook("x = 1"), "02_two": notebook("y = 1")})
    return folder


@pytest.fixture
def clone(tmp_path, upstream):
    git(tmp_path, "clone", "-q", "upstream", "clone")
    return tmp_path / "clone"


def update(clone, **environment):
    return subprocess.run(
        [sys.executable, "-I", clone / "tools" / "update.py"], cwd="/",
        env=PLAIN | environment, capture_output=True, text=True,
    )  # fmt: skip


def kept(clone):
    """Every copy in my_work: its path below the date -> its text."""
    dates = (clone / "chapters" / "my_work").glob("*")
    return {
        file.relative_to(date).as_posix(): file.read_text()
        for date in dates
        for file in date.rglob("*")
        if file.is_file()
    }


def everything(clone):
    """All of the reader's files and where the branch stands."""
    files = {
        file: file.read_bytes()
        for file in clone.rglob("*")
        if file.is_file() and not file.is_relative_to(clone / ".git")
        and "my_work" not in file.parts
    }  # fmt: skip
    return files, git(clone, "rev-parse", "HEAD")


def at_newest(clone, upstream):
    heads = [git(folder, "rev-parse", "HEAD") for folder in (clone, upstream)]
    return heads[0] == heads[1] and git(clone, "status", "--porcelain") == ""


def test_work_is_kept_and_the_new_edition_stands_in_its_place(clone, upstream):
    mine = notebook("x = 1  # my answer")
    (clone / ONE).write_text(mine)
    (clone / TWO).write_text(notebook("y = 1", "what the kernel said"))
    own = {"chapters/progress.json": "{}", "chapters/leaderboard.json": "{}"}
    for name, text in own.items():
        (clone / name).write_text(text)
    publish(upstream, **{"01_one": notebook("x = 2"), "02_two": notebook("y = 2")})
    assert (
        "would be overwritten"
        in subprocess.run(
            ["git", "pull", "-q"], cwd=clone, env=PLAIN, capture_output=True, text=True
        ).stderr
    )  # why there is a tool
    done = update(clone)
    assert done.returncode == 0, done.stderr
    first, second, last = done.stdout.splitlines()
    assert first.startswith(f"{ONE}: your version is kept in chapters/my_work/20")
    assert second == f"{TWO}: you only ran it, no copy needed"
    assert last.startswith("this is the new edition")
    assert (clone / first.split()[-1]).read_text() == mine
    assert kept(clone) == {"01_one.ipynb": mine}
    assert at_newest(clone, upstream)
    assert {name: (clone / name).read_text() for name in own} == own
    assert update(clone).stdout == "this is the newest edition\n"


def test_what_the_new_edition_leaves_alone_stays_in_place(clone, upstream):
    (clone / ONE).write_text(notebook("x = 'mine'"))
    publish(upstream, **{"02_two": notebook("y = 2")})
    assert update(clone).returncode == 0
    assert (clone / ONE).read_text() == notebook("x = 'mine'")
    assert not kept(clone) and "y = 2" in (clone / TWO).read_text()


def test_an_earlier_copy_is_never_overwritten(clone, upstream):
    for number in (1, 2, 3):
        (clone / ONE).write_text(notebook(f"mine {number}"))
        publish(upstream, **{"01_one": notebook(f"x = 1{number}")})
        assert update(clone).returncode == 0
    names = ("01_one.ipynb", "01_one-2.ipynb", "01_one-3.ipynb")
    assert kept(clone) == {n: notebook(f"mine {k}") for k, n in enumerate(names, 1)}


def test_new_names_deleted_chapters_sources_and_broken_files(clone, upstream):
    (clone / "chapters/03_new.ipynb").write_text("the reader had that name first")
    (clone / ONE).write_text("{no notebook")
    (clone / TWO).unlink()
    (clone / "tools/update.py").open("a").write("# mine\n")
    (upstream / "tools/update.py").open("a").write("# theirs\n")
    (upstream / ONE).unlink()
    publish(upstream, **{"02_two": notebook("y = 2"), "03_new": notebook("z")})
    done = update(clone)
    assert done.returncode == 0, done.stderr
    assert set(kept(clone)) == {"03_new.ipynb", "01_one.ipynb", "tools/update.py"}
    assert kept(clone)["01_one.ipynb"] == "{no notebook"
    assert kept(clone)["tools/update.py"].endswith("# mine\n")
    assert at_newest(clone, upstream) and not (clone / ONE).exists()


def own_commit(clone, upstream):
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "mine")


def no_network(clone, upstream):
    upstream.rename(upstream.with_name("gone"))


def no_upstream(clone, upstream):
    git(clone, "checkout", "-q", "-b", "elsewhere")


def locked_index(clone, upstream):
    (clone / ".git" / "index.lock").touch()


def locked_branch(clone, upstream):
    """git stops after our checkout: a lock on the branch."""
    (clone / ".git" / "refs" / "heads" / "main.lock").touch()


def no_room(clone, upstream):
    (clone / "chapters" / "my_work").touch()


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (own_commit, "this clone has commits of its own, 1: `git merge @{upstream}`"),
        (no_network, "the new edition cannot be fetched: "),
        (no_upstream, "no upstream to update from: "),
        (locked_index, "index.lock"),
        (locked_branch, "main.lock"),
        (no_room, "my_work"),
    ],
)
def test_a_refusal_leaves_everything_as_it_was(clone, upstream, trouble, said):
    (clone / ONE).write_text(notebook("mine"))
    (clone / TWO).write_text(notebook("y = 1", "what the kernel said"))
    publish(upstream, **{"01_one": notebook("x = 2"), "02_two": notebook("y = 2")})
    trouble(clone, upstream)
    before = everything(clone)
    done = update(clone)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("not updated, all is as it was: ")
    assert said in done.stderr
    assert everything(clone) == before


def slow_git(tmp_path, which):
    """A git on PATH that says when it begins ``which`` and then takes its time."""
    folder = tmp_path / "bin"
    folder.mkdir()
    real = shutil.which("git")
    script = f'#!/bin/sh\n[ "$1" = {which} ] && touch {folder}/begun && sleep 1\n'
    (folder / "git").write_text(f'{script}exec {real} "$@"\n')
    (folder / "git").chmod(0o755)
    return folder


@pytest.mark.parametrize("which", ["fetch", "checkout", "merge"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_half_way_nothing_is_lost(clone, upstream, tmp_path, which, how):
    mine = notebook("mine")
    (clone / ONE).write_text(mine)
    publish(upstream, **{"01_one": notebook("x = 2")})
    folder = slow_git(tmp_path, which)
    process = subprocess.Popen(
        [sys.executable, "-I", clone / "tools" / "update.py"], cwd="/",
        env=PLAIN | {"PATH": f"{folder}:{PLAIN['PATH']}"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    while not (folder / "begun").exists():
        time.sleep(0.01)
    os.killpg(process.pid, how)
    _, said = process.communicate(timeout=20)
    assert "Traceback" not in said
    if how == signal.SIGINT and which == "fetch":
        assert said.startswith("stopped: all is as it was")
        assert (clone / ONE).read_text() == mine
    elif how == signal.SIGINT:  # too late to stop: it goes on to the end
        assert process.returncode == 0 and at_newest(clone, upstream)
    time.sleep(0 if how == signal.SIGINT else 1.3)  # a git left alone ends by itself
    texts = [(clone / ONE).read_text(), *kept(clone).values()]
    assert mine in texts
    again = update(clone)
    assert again.returncode == 0, again.stderr
    assert at_newest(clone, upstream) and kept(clone) == {"01_one.ipynb": mine}


def test_tools_leave_the_readers_copies_alone(clone):
    """What git ignores, ruff and the book's chapters do not see."""
    copy = clone / "chapters" / "my_work" / "2026-01-31" / "01_one.py"
    copy.parent.mkdir(parents=True)
    copy.write_text("import   os, sys\n")
    assert git(clone, "status", "--porcelain") == ""
    ruff = [sys.executable, "-m", "ruff", "format", "--check", "chapters"]
    done = subprocess.run(ruff, cwd=clone, capture_output=True, text=True)
    assert "01_one.py" not in done.stdout + done.stderr
    from sources import chapter_names

    (clone / "chapters" / "01_one.py").touch()
    assert chapter_names(clone / "chapters") == ["01_one"]
