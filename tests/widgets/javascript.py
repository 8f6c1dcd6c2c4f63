"""Run an ES module that needs no page: in node where there is one, else in Chromium."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

NODE = shutil.which("node")

Run = Callable[[str, str, Any], Any]
"""run(module's text, name of one of its functions, list of its arguments' lists):
the answers."""

_IN_NODE = """
import { readFileSync } from "node:fs";
const { path, name, calls } = JSON.parse(readFileSync(0, "utf-8"));
const module = await import(path);
console.log(JSON.stringify(calls.map((args) => module[name](...args))));
"""
_IN_PAGE = """
async ({ text, name, calls }) => {
  const module = await import("data:text/javascript;base64," + text);
  return JSON.stringify(JSON.parse(calls).map((args) => module[name](...args)));
}
"""


def in_node(text: str, name: str, calls: list[list[Any]]) -> list[Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "module.mjs"
        path.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [NODE, "--input-type=module", "-e", _IN_NODE],
            input=json.dumps({"path": path.as_uri(), "name": name, "calls": calls}),
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def in_page(browser) -> Run:
    def run(text: str, name: str, calls: list[list[Any]]) -> list[Any]:
        task = {"text": base64.b64encode(text.encode()).decode(), "name": name}
        page = browser.new_page()
        try:  # as text, for -0.0 would not survive the way into the page
            return json.loads(
                page.evaluate(_IN_PAGE, task | {"calls": json.dumps(calls)})
            )
        finally:
            page.close()

    return run
