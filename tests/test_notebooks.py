"""From source to stored notebook: stable, tidy, and compared strictly."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import notebook_file
import notebooks
from sources import CHAPTERS, chapter_names, is_stale
from tidy import PLOTLY, WIDGET, comparable, tidied

ROOT = Path(__file__).resolve().parent.parent

SOURCE = """# %% [markdown]
# # Tiny
# @COLAB@

# %% tags=["setup"]
address = "@REPOSITORY@"

# %%
import sys

from tqdm.auto import tqdm

for _ in tqdm(range(2)):
    print("same", "everywhere")
print("warning", file=sys.stderr)

# %%
print("sum", 1 + 1)
print("sum", 1 + 1)

# %%
import plotly.graph_objects as go

go.Figure(go.Scatter(y=[1, 2, 3]))
"""


def build(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, ROOT / "tools/notebooks.py", "--folder", folder, *arguments],
        capture_output=True, text=True,
    )  # fmt: skip


def nbval(path: Path) -> subprocess.CompletedProcess:
    """Strict nbval with the project's own conftest and sanitize file."""
    options = ["-p", "conftest", "-p", "no:cacheprovider", f"--rootdir={path.parent}"]
    strict = ["--nbval", "--nbval-current-env", "--nbval-sanitize-with=nbval.cfg"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *strict, path],
        capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tools'}"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Path of a small notebook, built by the real tool."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "01_tiny.py").write_text(SOURCE)
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "01_tiny.ipynb"


def outputs(path: Path) -> list[dict]:
    cells = json.loads(path.read_text())["cells"]
    return [output for cell in cells for output in cell.get("outputs", [])]


def test_an_unchanged_chapter_gives_the_same_bytes(tiny):
    before = tiny.read_bytes()
    assert build(tiny.parent).returncode == 0
    assert tiny.read_bytes() == before


def test_what_is_stored_is_tidy(tiny):
    text = tiny.read_text()
    assert "@COLAB@" not in text and "@REPOSITORY@" not in text
    assert "colab.research.google.com/github/" in text
    assert "it/s" not in text and '"stderr"' not in text
    assert WIDGET not in text and "text/html" not in text
    notebook = json.loads(text)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["cells"][1]["metadata"] == {"tags": ["setup"]}
    assert all(c["execution_count"] for c in notebook["cells"] if "outputs" in c)
    assert any(PLOTLY in output.get("data", {}) for output in outputs(tiny))


def test_strict_nbval_passes(tiny):
    done = nbval(tiny)
    assert done.returncode == 0, done.stdout


def test_strict_nbval_fails_when_a_text_is_edited_or_removed(tiny, tmp_path):
    text = tiny.read_text().replace("sum 2", "sum 3", 1)
    assert text != tiny.read_text()
    notebook = json.loads(text)
    notebook["cells"][2]["outputs"] = []
    edited = tmp_path / tiny.name
    edited.write_text(json.dumps(notebook))
    done = nbval(edited)
    assert done.returncode == 1
    assert "sum 3" in done.stdout and "2 failed" in done.stdout


def test_an_edited_source_is_noticed(tiny, tmp_path):
    (tmp_path / tiny.name).write_bytes(tiny.read_bytes())
    source = tmp_path / "01_tiny.py"
    source.write_text(SOURCE)
    assert not is_stale("01_tiny", tmp_path)
    source.write_text(SOURCE.replace("1 + 1", "1 + 2"))
    done = build(tmp_path, "--check")
    assert done.returncode == 1 and "run make notebooks" in done.stdout


@pytest.mark.parametrize("line", ["fig.show()", "interact(f, x=3)", "Output()"])
def test_what_chapters_may_not_use_is_refused(line, tmp_path):
    (tmp_path / "01_bad.py").write_text(f"# %%\n{line}\n")
    with pytest.raises(notebooks.ChapterError, match="may not stand in a chapter"):
        notebooks.empty_notebook(tmp_path / "01_bad.py")


def test_a_large_notebook_is_refused(tmp_path):
    cell = {
        "cell_type": "markdown",
        "id": "a",
        "metadata": {},
        "source": "x" * 1_600_000,
    }
    large = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    with pytest.raises(notebooks.ChapterError, match=r"1\.60 MB"):
        notebook_file.write(large, tmp_path / "01_large.ipynb")
    assert not list(tmp_path.iterdir())


def test_a_notebook_that_cannot_be_written_leaves_no_draft(tmp_path, monkeypatch):
    def full(draft, text, encoding):
        draft.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    empty = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        notebook_file.write(empty, tmp_path / "01.ipynb")
    assert not list(tmp_path.iterdir())


def test_a_failing_cell_leaves_the_old_notebook(tiny, tmp_path):
    stored = tmp_path / "01_tiny.ipynb"
    stored.write_bytes(tiny.read_bytes())
    (tmp_path / "01_tiny.py").write_text("# %%\nraise ValueError('broken here')\n")
    done = build(tmp_path)
    assert done.returncode == 1 and "broken here" in done.stdout
    assert stored.read_bytes() == tiny.read_bytes()


def test_pieces_of_a_stream_become_one():
    piece = {"output_type": "stream", "name": "stdout"}
    bar = {"WIDGET": 1, "text/plain": "  0%|          | 0/3 [00:00<?, ?it/s]"}
    given = [
        {**piece, "text": "a"},
        {"output_type": "display_data", "data": bar, "metadata": {}},
        {**piece, "name": "stderr", "text": "noise"},
        {**piece, "text": "b"},
    ]
    assert tidied(given) == comparable(given) == [{**piece, "text": "ab"}]
    assert given[0]["text"] == "a"


def test_the_last_bits_of_a_figure_are_not_stored():
    def figure(value: float) -> list[dict]:
        data = {PLOTLY: {"data": [{"y": [value, 1]}]}, "text/html": "<script>"}
        return tidied([{"output_type": "display_data", "data": data, "metadata": {}}])

    assert figure(0.1 + 0.2) == figure(0.3) != figure(0.30001)
    assert set(figure(0.3)[0]["data"]) == {PLOTLY}


@pytest.mark.parametrize("name", chapter_names())
def test_the_stored_notebook_was_made_from_the_source(name):
    assert not is_stale(name), f"run make notebooks ONLY={name}"


@pytest.mark.parametrize("name", chapter_names())
def test_every_live_output_has_its_still_picture(name):
    from stills import live

    moving = [o for o in outputs(CHAPTERS / f"{name}.ipynb") if live(o)]
    assert moving, "a chapter without a picture"
    assert all("image/png" in output["data"] for output in moving)
