"""Run each notebook as Colab would: alone, with Colab's versions, no moe_lib.

``make test-colab`` calls this with the Python of .venv-colab. A notebook is copied
into an empty folder and runs in an environment of its own on top of .venv-colab;
its own first cell must install moe_lib. The public address is led to a snapshot of
this working tree by git's ``url.<base>.insteadOf``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distribution
from pathlib import Path

from sources import CHAPTERS, ROOT, repository

CELL_TIMEOUT = 120
# The first of a name is what is imported: what a notebook installs hides the rest.
INSTALLED = (
    "import json, importlib.metadata as m;"
    "found = [(d.name, d.version) for d in m.distributions()];"
    "print(json.dumps(dict(reversed(found))))"
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


def environment(folder: Path) -> Path:
    """Python of a new environment that sees this one's packages and changes none."""
    venv.create(folder)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    (packages / "colab.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin" / "python"


def check(notebook: Path, folder: Path) -> str:
    """Run one notebook; a line of praise. Raises AssertionError or nbclient's error."""
    import nbformat
    from nbclient import NotebookClient

    before = packages()
    assert "moe_lib" not in before, "moe_lib is there before the notebook ran"
    calls = folder / "calls.txt"
    calls.write_text("")
    os.environ["COLAB_CALLS"] = str(calls)
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


def check_alone(notebook: Path, scratch: Path) -> bool:
    """Whether this file, called with ``--alone`` in an environment of its own, found
    nothing wrong; what it says is printed in one piece."""
    folder = scratch / notebook.stem
    folder.mkdir()
    python = environment(scratch / "environments" / notebook.stem)
    command = [python, __file__, "--alone", folder, notebook.resolve()]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = done.stdout.decode(errors="replace").strip()
    print(
        f"{notebook.stem:32} {'FAILED ' if done.returncode else ''}{said}", flush=True
    )
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        print(check(*given.notebooks, given.alone))
        return 0
    chosen = given.notebooks or sorted(CHAPTERS.glob("[0-9]*.ipynb"))
    assert chosen, f"no notebook in {CHAPTERS}: run make notebooks"
    if "moe_lib" in packages():
        pip("uninstall", "-y", "moe_lib")
    with tempfile.TemporaryDirectory(prefix="colab-") as name:
        scratch = Path(name)
        snapshot(scratch / "repository")
        os.environ |= {
            "PYTHONPATH": str(ROOT / "tests" / "colab"),  # the stand-in google.colab
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{(scratch / 'repository').as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": repository(),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # or the debugger warns
        }
        with ThreadPoolExecutor(2) as pool:
            passed = sum(pool.map(lambda one: check_alone(one, scratch), chosen))
    print(f"{passed} passed, {len(chosen) - passed} failed")
    return passed < len(chosen)


if __name__ == "__main__":
    sys.exit(main())
