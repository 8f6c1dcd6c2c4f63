"""The project's promises about itself: one address, one list of packages, budgets."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest
import yaml

from sources import CHAPTERS, chapter_names, repository, source_cells

ROOT = Path(__file__).resolve().parent.parent

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CHAPTER = pytest.mark.parametrize("name", chapter_names())


def name_of(requirement: str) -> str:
    """``scikit_learn>=1.4`` -> ``scikit-learn``."""
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def project_files() -> list[Path]:
    """Files that git tracks or would add; skips where this is no checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def test_conda_takes_its_python_packages_from_pyproject():
    *conda, pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert [name_of(d) for d in conda] == ["python", "pip"]
    assert pip == {"pip": ["-c constraints.txt", "-e .[dev]"]}
    assert PROJECT["requires-python"] in conda[0]


def test_every_requirement_is_pinned_and_satisfied_by_its_pin():
    from packaging.requirements import Requirement

    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {
        name_of(line): line.split("==")[1]
        for line in lines
        if line and not line.startswith("#")
    }
    extras = PROJECT["optional-dependencies"].values()
    wanted = PROJECT["dependencies"] + [r for extra in extras for r in extra]
    for requirement in map(Requirement, wanted):
        name = name_of(requirement.name)
        if name == "moe-lib":
            continue
        assert name in pins, f"{name} has no pin in constraints.txt"
        assert pins[name] in requirement.specifier, f"{requirement}, pin {pins[name]}"


def test_the_library_only_has_lower_bounds():
    for requirement in PROJECT["dependencies"]:
        assert re.fullmatch(r"[\w-]+>=[\d.]+", requirement), requirement


def test_the_public_address_is_written_once():
    address = repository().removeprefix("https://")
    holders = [
        str(path.relative_to(ROOT))
        for path in project_files()
        if path.suffix != ".ipynb" and address in path.read_text("utf-8", "ignore")
    ]
    assert holders == ["README.md", "pyproject.toml"]  # tools/readme.py makes README's


def test_readme_s_map_has_every_room():
    text = (ROOT / "README.md").read_text("utf-8")
    where = text.split("## Where things are")[1].split("\n## ")[0]
    rooms = {
        f"{file.parent.name}/" for file in (ROOT / "moe_lib").glob("*/__init__.py")
    }
    rooms |= {file.name for file in (ROOT / "moe_lib").glob("[!_]*.py")}
    inside = [path.relative_to(ROOT) for path in project_files()]
    rooms |= {f"{path.parts[0]}/" for path in inside if len(path.parts) > 1}
    missing = [room for room in rooms if room not in where and room[0] != "."]
    assert not missing
    named = set(re.findall(r"\b\w+\.py\b", where)) - {"NN_name.py", "switch.py"}
    assert named <= rooms


def test_files_of_the_library_are_short():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "moe_lib").rglob("*.py")
        if (lines := len(path.read_text("utf-8").splitlines())) > 200
    }
    assert not long, f"asking to be two files: {long}"


def test_importing_the_library_is_cheap():
    code = """
import json, sys, time, torch
start = time.perf_counter()
import moe_lib
print(json.dumps([time.perf_counter() - start, sorted(sys.modules)]))
"""
    for _ in range(3):  # the machine may be busy: one good run is enough
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT
        )
        seconds, modules = json.loads(done.stdout)
        if seconds <= 0.5:
            break
    assert seconds <= 0.5
    heavy = {"plotly", "ipywidgets", "anywidget", "sklearn", "IPython", "scipy"}
    assert not heavy.intersection(modules)


LIBRARY = ROOT / "moe_lib"
CORE = [LIBRARY, *(LIBRARY / f for f in ("accounting", "data", "models", "routers"))]


def imported(path: Path) -> set[str]:
    """The modules of the library that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports would pass unseen"
            # `from package import name`: the name may be a module
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in found if name.startswith("moe_lib.")}


def reached(path: Path) -> set[str]:
    """The same, and what those files import in turn."""
    found, files = set(), [path]
    while files:
        new = imported(files.pop()) - found
        found |= new
        for name in new:
            place = ROOT / name.replace(".", "/")
            for module in (place, place.parent):
                options = (module.with_suffix(".py"), module / "__init__.py")
                files += [file for file in options if file.is_file()]
    return found


def upwards(names: set[str], *layers: str) -> set[str]:
    """Those of the names that lie in one of the layers."""
    return {name for name in names if name.split(".")[1] in layers}


def test_the_core_imports_no_figures_no_widgets_and_no_course():
    found = {
        str(path.relative_to(ROOT)): names
        for folder in CORE
        for path in folder.glob("*.py")
        if (names := upwards(imported(path), "figures", "widgets", "course"))
    }
    assert not found


def test_the_course_imports_no_figures_and_no_widgets():
    found = {
        str(path.relative_to(ROOT)): names
        for path in (LIBRARY / "course").rglob("*.py")
        if (names := upwards(imported(path), "figures", "widgets"))
    }
    assert not found


def test_figures_for_every_chapter_need_no_course_and_no_widgets():
    names = reached(LIBRARY / "figures/__init__.py")
    assert "moe_lib.figures.flow.flow" in names and "moe_lib.notation.letter" in names
    assert not upwards(names, "course", "widgets")


def test_the_summary_lists_every_chapter_in_order():
    summary = (CHAPTERS / "SUMMARY.md").read_text("utf-8")
    assert re.findall(r"\((\w+)\.ipynb\)", summary) == chapter_names()


@CHAPTER
def test_code_cells_are_short_and_narrow(name):
    for cell in source_cells(CHAPTERS / f"{name}.py"):
        lines = cell["source"].splitlines()
        if cell["cell_type"] == "code":
            assert len(lines) <= 30, f"{len(lines)} lines:\n{cell['source']}"
            wide = [line for line in lines if len(line) > 79]
            assert not wide, f"over 79 columns: {wide}"


@CHAPTER
def test_a_chapter_is_neither_crammed_nor_thin(name):
    text = " ".join(
        cell["source"]
        for cell in source_cells(CHAPTERS / f"{name}.py")
        if cell["cell_type"] == "markdown"
    )
    words = len(text.split())
    low, high = (0, 1500) if name.startswith("00") else (1200, 2500)
    assert low <= words <= high, f"{name} has {words} words"


@CHAPTER
def test_a_notebook_is_small(name):
    size = (CHAPTERS / f"{name}.ipynb").stat().st_size
    assert size <= 1_500_000, f"{name}.ipynb has {size / 1e6:.2f} MB"


def test_the_readme_s_example_runs():
    import torch

    text = (ROOT / "README.md").read_text("utf-8")
    example = text.split("## The layer alone\n\n")[1].split("\n\n`routing`")[0]
    names = {"x": torch.randn(2, 5, 256), "task_loss": torch.sum}
    exec(textwrap.dedent(example), names)
    assert names["y"].shape == (2, 5, 256) and names["loss"].isfinite()
