"""Get the new edition of the course; what the reader changed is kept aside first.

    python tools/update.py          (or: make update; any Python 3.11, git, no .venv)

Only files that both the reader and the new edition changed are touched. Unless it is a
notebook that was merely executed, the reader's version is copied to
chapters/my_work/DATE/, which git ignores. If anything stops that, all is as it was;
what cannot be put back on a failing disk is named, with where it lies.
"""

from __future__ import annotations

import filecmp
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPARE = 2_000_000  # bytes, for git's own files


def git(*arguments: str, problem: str = "") -> bytes:
    done = subprocess.run(
        ["git", *arguments],
        cwd=ROOT,
        capture_output=True,
        # Ctrl-C is for us; only a fetch may have to ask for a password
        start_new_session=arguments[0] != "fetch",
    )
    if done.returncode:
        raise RuntimeError(problem + done.stderr.decode("utf-8", "replace").strip())
    return done.stdout


def names(*arguments: str) -> set[str]:
    listed = git("diff", "--name-only", "--no-renames", "-z", *arguments)
    return {name for name in listed.decode().split("\0") if name}


def cells(text: bytes) -> list:
    """What people write in a notebook, without what the kernel answered."""
    return [
        (cell["cell_type"], "".join(cell["source"]), cell.get("attachments"))
        for cell in json.loads(text)["cells"]
    ]


def only_executed(name: str) -> bool:
    try:
        old = git("show", f"HEAD:{name}")
        return cells((ROOT / name).read_bytes()) == cells(old)
    except (RuntimeError, ValueError, KeyError, TypeError):
        return False  # no notebook, or a broken one: copied like any other file


def copied(name: str) -> str:
    """Copy it to the first free name; where it is now."""
    folder = ROOT / "chapters" / "my_work" / date.today().isoformat()
    wanted, number = folder / name.removeprefix("chapters/"), 1
    target = wanted
    while target.exists() and not filecmp.cmp(ROOT / name, target, shallow=False):
        number += 1
        target = wanted.with_stem(f"{wanted.stem}-{number}")
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f"{target.name}.part")
        try:
            shutil.copy2(ROOT / name, draft)
            draft.rename(target)
        finally:
            draft.unlink(missing_ok=True)
    return target.relative_to(ROOT).as_posix()


def require_room(new: set[str], mine: set[str]) -> None:
    """Refuse where the new edition and the copies would not find room."""
    listed = git("ls-tree", "-r", "-l", "-z", "@{upstream}").decode().split("\0")
    entries = [entry.partition("\t") for entry in listed]  # mode type id size, name
    needed = sum(int(about.split()[3]) for about, _, name in entries if name in new)
    needed += sum((ROOT / name).stat().st_size for name in mine) + SPARE
    free = shutil.disk_usage(ROOT).free
    if free < needed:
        raise RuntimeError(
            f"the new edition needs {needed / 1e6:.0f} MB, and {free / 1e6:.0f} are"
            f" free where {ROOT} lies: make room"
        )


def replace(new: set[str], mine: set[str], clean: set[str]) -> None:
    """Go to the new edition, deaf to Ctrl-C; if git refuses, all is put back.

    Meanwhile the reader's files wait in git's own folder: a rename needs no room.
    """
    folder = Path(os.fsdecode(git("rev-parse", "--absolute-git-dir").rstrip(b"\n")))
    aside = Path(tempfile.mkdtemp(prefix="update-", dir=folder))
    absent = {name for name in new if not os.path.lexists(ROOT / name)}
    waiting: dict[Path, Path] = {}  # where it belongs -> where it is
    hear = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        shutil.copy2(folder / "index", aside)
        waiting[folder / "index"] = aside / "index"
        git("reset", "-q", "--", *new)  # what was staged
        for number, name in enumerate(sorted(mine)):
            shutil.move(ROOT / name, aside / str(number))
            waiting[ROOT / name] = aside / str(number)
        git("merge", "-q", "--ff-only", "@{upstream}")
        waiting.clear()
    except BaseException as error:
        if failed := put_back(waiting, absent, clean):
            sys.exit(f"not updated: {error}\nnot put back: " + "; ".join(failed))
        raise
    finally:
        if not waiting:
            shutil.rmtree(aside, ignore_errors=True)
        signal.signal(signal.SIGINT, hear)


def put_back(waiting: dict[Path, Path], absent: set[str], clean: set[str]) -> list[str]:
    """As it was; what could not be."""
    failed = []
    for target, kept in list(waiting.items()):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(kept, target)
            del waiting[target]
        except OSError as error:
            failed.append(f"{target}, which is now {kept} ({error.strerror})")
    try:
        written = {n for n in absent | (clean & names("HEAD")) if of_new_edition(n)}
        for name in written:  # all of them: the old ones need their room
            (ROOT / name).unlink(missing_ok=True)
        if changed := written - absent:
            git("restore", "--source=HEAD", "--", *changed)
    except (RuntimeError, OSError) as error:
        failed.append(f"what you had not changed: make room, `git restore .` ({error})")
    return failed


def of_new_edition(name: str) -> bool:
    """git wrote it or began to: not what the reader saved in this moment."""
    if not (ROOT / name).exists():
        return not (ROOT / name).parent.is_file()
    try:
        new = git("show", f"@{{upstream}}:{name}")
    except RuntimeError:
        return False
    return new.startswith((ROOT / name).read_bytes().replace(b"\r\n", b"\n"))


def require_clone() -> None:
    """Refuse a folder that git would take for a part of another repository."""
    if not shutil.which("git"):
        raise RuntimeError("git is not installed: get it from https://git-scm.com")
    if (ROOT / ".git").exists():
        top = os.fsdecode(git("rev-parse", "--show-toplevel").rstrip(b"\n"))
        if os.path.samefile(top, ROOT):
            return
    raise RuntimeError(f"this folder is no clone: {anew()}")


def anew() -> str:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    address = tomllib.loads(text)["project"]["urls"]["Repository"]
    return (
        f"`git clone {address}` in another folder, then copy chapters/progress.json"
        " and what else is yours to the same place there"
    )


def main() -> str:
    """Update; what to say at the end. Raises RuntimeError: nothing was changed."""
    require_clone()
    remedy = f"no upstream to update from: `git switch main`; if it is gone, {anew()}"
    git("rev-parse", "-q", "--verify", "@{upstream}", problem=remedy)
    git("fetch", "-q", "--prune", problem="the new edition cannot be fetched: ")
    git("rev-parse", "-q", "--verify", "@{upstream}", problem=remedy)
    counts = git("rev-list", "--left-right", "--count", "HEAD...@{upstream}").split()
    ahead, behind = map(int, counts)
    if not behind:
        source = git("ls-remote", "--get-url").decode().strip()
        source = re.sub("//[^/@]*@", "//", source)  # without a password
        return f"this is the newest edition at {source}"
    if ahead:
        raise RuntimeError(
            f"this clone has commits of its own, {ahead}: `git merge @{{upstream}}`"
            " joins them with the new edition. If none is yours, the course's history"
            f" was rewritten: {anew()}"
        )
    new = names("HEAD", "@{upstream}")
    added = names("--diff-filter=A", "HEAD", "@{upstream}")  # may be there, untracked
    touched = new & (names("HEAD") | added)
    mine = {name for name in touched if (ROOT / name).is_file()}
    require_room(new, mine)
    for name in sorted(mine):
        if only_executed(name):
            print(f"{name}: you only ran it, no copy needed")
        else:
            print(f"{name}: your version is kept in {copied(name)}")
    replace(new, mine, clean=new - touched)
    return (
        "this is the new edition. If JupyterLab is open, close its chapters and open"
        " them again. Next: make lab"
    )


if __name__ == "__main__":
    try:
        print(main())
    except KeyboardInterrupt:
        sys.exit("stopped: all is as it was; the same command tries again")
    except (RuntimeError, OSError) as error:
        sys.exit(f"not updated, all is as it was: {error}")
