"""Run each notebook as Colab would: alone, with Colab's versions, no moe_lib.

``make test-colab`` calls this with the Python of .venv-colab. A notebook is copied
into an empty folder; its own first cell must install moe_lib. The public address
is led to a snapshot of this working tree by git's ``url.<base>.insteadOf``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import distribution
from pathlib import Path

from sources import CHAPTERS, ROOT, repository

CELL_TIMEOUT = 120
INSTALLED = (
    "import json, importlib.metadata as m;"
    "print(json.dumps({d.name: d.version for d in m.distributions()}))"
)


def run(*command: object, cwd: Path | None = None) -> str:
    """Output of a command; raises CalledProcessError, its errors are shown."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, check=True, stdout=subprocess.PIPE
    )
    return done.stdout.decode()


def snapshot(folder: Path) -> None:
    """Make ``folder`` a git repository of the working tree, uncommitted work too."""
    folder.mkdir()
    listed = run("git", "ls-files", "-coz", "--exclude-standard", cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    author = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    run("git", "init", "-q", cwd=folder)
    run("git", "add", "-A", "-f", cwd=folder)
    run("git", *author, "commit", "-q", "-m", "snapshot", cwd=folder)


def packages() -> dict[str, str]:
    """Installed packages with versions, as a fresh interpreter sees them."""
    return json.loads(run(sys.executable, "-c", INSTALLED))


def pip(*arguments: str) -> None:
    run(sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *arguments)


def check(notebook: Path, scratch: Path) -> str:
    """Run one notebook; a line of praise. Raises AssertionError or nbclient's error."""
    import nbformat
    from nbclient import NotebookClient

    if "moe_lib" in packages():
        pip("uninstall", "-y", "moe_lib")
    before = packages()
    calls = Path(os.environ["COLAB_CALLS"])
    calls.write_text("")
    folder = scratch / notebook.stem
    folder.mkdir()
    shutil.copy(notebook, folder)

    started = time.perf_counter()
    content = nbformat.read(folder / notebook.name, as_version=4)
    for cell in content.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    NotebookClient(
        content,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    seconds = time.perf_counter() - started

    after = packages()
    version = after.pop("moe_lib", None)
    assert version, "the notebook did not install moe_lib"
    changed = set(after.items()) ^ set(before.items())
    assert not changed, f"installing moe_lib changed {changed}"
    origin = json.loads(distribution("moe_lib").read_text("direct_url.json"))
    assert origin["url"] == repository(), f"moe_lib came from {origin['url']}"
    assert calls.read_text(), "output.enable_custom_widget_manager was not called"
    unrun = [c.source for c in content.cells if c.get("execution_count", 1) is None]
    assert not any(source.strip() for source in unrun), f"not executed: {unrun}"
    torch = after["torch"]
    return f"{seconds:6.1f} s  moe_lib {version} from git, torch {torch} as it was"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    chosen = parser.parse_args().notebooks or sorted(CHAPTERS.glob("[0-9]*.ipynb"))
    assert chosen, f"no notebook in {CHAPTERS}: run make notebooks"
    failed = 0
    with tempfile.TemporaryDirectory(prefix="colab-") as name:
        scratch = Path(name)
        snapshot(scratch / "repository")
        os.environ |= {
            "PYTHONPATH": str(ROOT / "tests" / "colab"),  # the stand-in google.colab
            "COLAB_CALLS": str(scratch / "calls.txt"),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{(scratch / 'repository').as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": repository(),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # or the debugger warns
        }
        for notebook in chosen:
            try:
                verdict = check(notebook.resolve(), scratch)
            except Exception as error:
                failed += 1
                verdict = f"FAILED {error}"
            print(f"{notebook.stem:32} {verdict}", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
