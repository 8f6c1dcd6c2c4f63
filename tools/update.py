"""Get the new edition of the course; what the reader changed is kept aside first.

    python tools/update.py          (or: make update; any Python 3.11, git, no .venv)

Only files that both the reader and the new edition changed are touched. Unless it is a
notebook that was merely executed, the reader's version is copied to
chapters/my_work/DATE/, which git ignores. If anything stops that, all is as it was.
"""

from __future__ import annotations

import filecmp
import json
import shutil
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


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
        shutil.copy2(ROOT / name, draft)
        draft.rename(target)
    return target.relative_to(ROOT).as_posix()


def replace(mine: set[str]) -> None:
    """Go to the new edition, deaf to Ctrl-C; if git refuses, all is put back."""
    before = {name: (ROOT / name).read_bytes() for name in mine}
    tracked = mine & names("HEAD")
    hear = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        if tracked:
            git("checkout", "-q", "HEAD", "--", *tracked)
        for name in mine - tracked:
            (ROOT / name).unlink()
        git("merge", "-q", "--ff-only", "@{upstream}")
    except BaseException:
        for name, content in before.items():
            (ROOT / name).write_bytes(content)
        raise
    finally:
        signal.signal(signal.SIGINT, hear)


def main() -> str:
    """Update; what to say at the end. Raises RuntimeError: nothing was changed."""
    git("rev-parse", "@{upstream}", problem="no upstream to update from: ")
    git("fetch", "-q", problem="the new edition cannot be fetched: ")
    counts = git("rev-list", "--left-right", "--count", "HEAD...@{upstream}").split()
    ahead, behind = map(int, counts)
    if not behind:
        return "this is the newest edition"
    if ahead:
        raise RuntimeError(
            f"this clone has commits of its own, {ahead}: `git merge @{{upstream}}`"
            " joins them with the new edition"
        )
    new = names("HEAD", "@{upstream}")
    added = names("--diff-filter=A", "HEAD", "@{upstream}")  # may be there, untracked
    mine = {n for n in new & (names("HEAD") | added) if (ROOT / n).is_file()}
    for name in sorted(mine):
        if only_executed(name):
            print(f"{name}: you only ran it, no copy needed")
        else:
            print(f"{name}: your version is kept in {copied(name)}")
    replace(mine)
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
