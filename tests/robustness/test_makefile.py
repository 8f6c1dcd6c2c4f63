"""`make lab` where the folder moved, or its Python is gone or too old."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).resolve().parents[2] / "Makefile"


@pytest.fixture
def make(tmp_path):
    """Run make in a folder where everything is installed, as it says."""
    folder = tmp_path / "the course"
    (folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(MAKEFILE, folder)
    for name in ("pyproject.toml", "constraints.txt"):
        (folder / name).touch()
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (folder / ".venv" / "ready").write_text(f"{folder}\n")

    def command(*arguments, within=folder):
        command = ["make", "--no-print-directory", *arguments]
        done = subprocess.run(command, cwd=within, capture_output=True, text=True)
        return done.stdout + done.stderr

    command.folder = folder
    return command


def test_what_is_installed_is_only_started(make):
    said = make("-n", "lab")
    assert "-m jupyterlab" in said and "pip install" not in said
    (make.folder / ".venv" / "ready").write_text("")  # as older editions left it
    assert "pip install" not in make("-n", "lab")


def test_a_folder_that_moved_is_installed_again(make):
    elsewhere = make.folder.rename(make.folder.with_name("elsewhere"))
    said = make("-n", "lab", within=elsewhere)
    assert "pip install" in said and "-m jupyterlab" in said


def test_a_python_that_is_gone_is_replaced(make):
    python = make.folder / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/usr/bin/python3.10-that-was-here")
    assert "-m venv --clear .venv" in make("-n", "lab")
    said = make("lab", "PYTHON=/nope")
    assert "Python 3.11 or newer is needed; /nope is not there." in said
    assert "then: make PYTHON=/path/to/python3.11 lab" in said
