"""Restart the kernel in the middle of a chapter and run it again: the same outputs.

What the first run left in the folder (progress, files of runs) must not show.
"""

from __future__ import annotations

import configparser
import json
import re

import nbformat
import pytest
from nbclient import NotebookClient

from sources import CHAPTERS, ROOT
from tidy import comparable

#: Quick chapters, and after which shares of their cells the kernel is restarted.
RESTARTS = {"00_start_here": (0.5,), "02b_what_experts_cost": (0.4,)}


def run(notebook, cells: int, folder) -> list[str]:
    """Outputs of the first cells, in a fresh kernel."""
    part = nbformat.from_dict({**notebook, "cells": notebook.cells[:cells]})
    context = {"metadata": {"path": str(folder)}}
    NotebookClient(
        part, timeout=120, kernel_name="python3", resources=context
    ).execute()
    return [plain(cell.outputs) for cell in part.cells if cell.cell_type == "code"]


def plain(outputs: list) -> str:
    """What nbval compares, sanitised as nbval.cfg says."""
    rules = configparser.RawConfigParser()
    rules.read(ROOT / "nbval.cfg")
    kept = comparable(outputs)
    for output in kept:
        output.pop("execution_count", None)
    text = json.dumps(kept, sort_keys=True)
    for name in rules.sections():
        text = re.sub(rules[name]["regex"], rules[name]["replace"], text)
    return text


@pytest.mark.parametrize("name", RESTARTS)
def test_outputs_are_the_same_after_a_restart(name, tmp_path, monkeypatch):
    monkeypatch.delenv("MOE_LIB_PROGRESS", raising=False)  # as a reader has it
    notebook = nbformat.read(CHAPTERS / f"{name}.ipynb", as_version=4)
    stored = [plain(c.outputs) for c in notebook.cells if c.cell_type == "code"]
    for share in (*RESTARTS[name], 1):
        found = run(notebook, round(share * len(notebook.cells)), tmp_path)
        assert found == stored[: len(found)]
