"""A new edition over chapters in which the reader has worked: `make update`."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import update as update_tool

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
    for name in (".gitignore", "pyproject.toml"):
        shutil.copy(TOOL.parents[1] / name, folder)
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
    where = next((f for f in (clone, clone.parent) if (f / ".git").exists()), None)
    told = ("rev-parse", "HEAD"), ("status", "--porcelain"), ("diff", "--cached")
    return files, [git(where, *arguments) for arguments in told if where]


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
    assert update(clone).stdout == f"this is the newest edition at {upstream}\n"


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


def no_folder(clone, upstream):
    (clone / "chapters" / "my_work").touch()


def detached(clone, upstream):
    git(clone, "checkout", "-q", "--detach")


def rewritten(clone, upstream):
    git(upstream, "commit", "-q", "--amend", "-m", "another")
    git(clone, "fetch", "-q")
    git(clone, "reset", "-q", "--soft", "@{upstream}")
    git(upstream, "commit", "-q", "--amend", "-m", "yet another")


def renamed_branch(clone, upstream):
    git(upstream, "branch", "-m", "trunk")


def in_another_repository(clone, upstream):
    """As unpacked from a ZIP somewhere in the reader's own clone of a thesis."""
    (clone / ".git").rename(clone.parent / ".git")


def without_git(clone, upstream):
    (clone / ".git").rename(clone.parent / "elsewhere")


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (own_commit, "this clone has commits of its own, 1: `git merge @{upstream}`"),
        (no_network, "the new edition cannot be fetched: "),
        (no_upstream, "no upstream to update from: `git switch main`"),
        (detached, "no upstream to update from: `git switch main`"),
        (renamed_branch, "if it is gone, `git clone https://"),
        (rewritten, "the course's history was rewritten: `git clone https://"),
        (in_another_repository, "this folder is no clone: `git clone https://"),
        (without_git, "this folder is no clone: `git clone https://"),
        (locked_index, "index.lock"),
        (locked_branch, "main.lock"),
        (no_folder, "my_work"),
    ],
)
def test_a_refusal_leaves_everything_as_it_was(clone, upstream, trouble, said):
    (clone / ONE).write_text(notebook("mine"))
    (clone / TWO).write_text(notebook("y = 1", "what the kernel said"))
    (upstream / "tools/update.py").open("a").write("# theirs\n")
    new = {"01_one": notebook("x = 2"), "02_two": notebook("y = 2"), "09_new": "z"}
    publish(upstream, **new)
    trouble(clone, upstream)
    before = everything(clone)
    done = update(clone)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("not updated, all is as it was: ")
    assert said in done.stderr
    assert everything(clone) == before


def git_that(tmp_path, which, first):
    """The folder of a git for PATH that runs a shell command before ``which``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = f'#!/bin/sh\n[ "$1" = {which} ] && {{ {first}; }}\n'
    (folder / "git").write_text(f'{script}exec {shutil.which("git")} "$@"\n')
    (folder / "git").chmod(0o755)
    return folder


def long_notebook(source):
    return notebook(source, "much " * 4000)


# A lock on the branch stops git after the last file, a full disk within a file: that
# stands for itself as the longest file that the shell allows, in blocks of 512 bytes.
@pytest.mark.parametrize("first", ["touch .git/refs/heads/main.lock",
                                   "trap '' XFSZ; ulimit -f 8"])  # fmt: skip
def test_a_merge_that_fails_half_way_is_undone(clone, upstream, tmp_path, first):
    publish(upstream, **{name: long_notebook(name) for name in ("02_two", "03_three")})
    assert update(clone).returncode == 0
    (clone / ONE).write_text(notebook("staged"))
    (clone / "chapters/09_new.ipynb").write_text("the reader had that name first")
    git(clone, "add", "-A")
    (clone / ONE).write_text(mine := long_notebook("mine"))
    (clone / TWO).write_text(long_notebook("02_two") + "\n")  # merely executed
    names = ("01_one", "02_two", "03_three", "08_new", "09_new")
    publish(upstream, **{name: long_notebook(f"{name}, theirs") for name in names})
    before = everything(clone)
    folder = git_that(tmp_path, "merge", first)
    done = update(clone, PATH=f"{folder}:{PLAIN['PATH']}")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("not updated, all is as it was: ")
    assert everything(clone) == before
    assert not list((clone / ".git").glob("update-*"))
    (clone / ".git/refs/heads/main.lock").unlink(missing_ok=True)
    again = update(clone)
    assert again.returncode == 0, again.stderr
    assert at_newest(clone, upstream)
    assert kept(clone)["01_one.ipynb"] == mine


def test_what_is_saved_in_the_middle_is_no_trace_of_git(clone, upstream, tmp_path):
    publish(upstream, **{"02_two": notebook("y = 2")})
    save = f"echo saved just now > {clone / TWO}"
    folder = git_that(tmp_path, "merge", save)
    done = update(clone, PATH=f"{folder}:{PLAIN['PATH']}")
    assert "would be overwritten by merge" in done.stderr
    assert (clone / TWO).read_text() == "saved just now\n"


def test_what_cannot_be_put_back_is_named_with_its_place(clone, upstream, tmp_path):
    (clone / ONE).write_text(mine := notebook("mine"))
    publish(upstream, **{"01_one": notebook("x = 2")})
    folder = git_that(tmp_path, "merge", "rm -r chapters; touch chapters; exit 1")
    done = update(clone, PATH=f"{folder}:{PLAIN['PATH']}")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    where = re.search(
        f"not put back: {clone / ONE}, which is now (.+) \\(", done.stderr
    )
    assert Path(where[1]).read_text() == mine


def test_an_edition_without_room_is_refused_before_anything(
    clone, upstream, monkeypatch
):
    (clone / ONE).write_text(long_notebook("mine"))
    publish(upstream, **{"01_one": long_notebook("x = 2"), "03": "new"})
    git(clone, "fetch", "-q")
    monkeypatch.setattr(update_tool, "ROOT", clone)
    monkeypatch.setattr(update_tool, "SPARE", 0)
    new, free = {ONE, "chapters/03.ipynb"}, 3 + len(long_notebook("x = 2") * 2)
    assert len(long_notebook("mine")) == len(long_notebook("x = 2")) - 1
    for room in (free - 2, free - 1):
        usage = shutil._ntuple_diskusage(0, 0, room)
        monkeypatch.setattr(shutil, "disk_usage", lambda place, usage=usage: usage)
        if room == free - 1:
            update_tool.require_room(new, {ONE})
        else:
            with pytest.raises(RuntimeError, match="needs 0 MB, and 0 are free"):
                update_tool.require_room(new, {ONE})


def test_git_is_missing(clone, tmp_path):
    assert "git is not installed: get it" in update(clone, PATH=str(tmp_path)).stderr


@pytest.mark.parametrize("which", ["fetch", "reset", "merge"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_half_way_nothing_is_lost(clone, upstream, tmp_path, which, how):
    mine = notebook("mine")
    (clone / ONE).write_text(mine)
    publish(upstream, **{"01_one": notebook("x = 2")})
    begun = tmp_path / "bin" / "begun"
    folder = git_that(tmp_path, which, f"touch {begun}; sleep 1")
    process = subprocess.Popen(
        [sys.executable, "-I", clone / "tools" / "update.py"], cwd="/",
        env=PLAIN | {"PATH": f"{folder}:{PLAIN['PATH']}"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    while not begun.exists():
        assert process.poll() is None
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
