"""Run mdBook as ``make book`` does, but without network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def mdbook(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    """mdBook of this environment, without network where that can be arranged."""
    programs = Path(sys.executable).parent
    offline = ["unshare", "-rn"]
    if not shutil.which("unshare") or subprocess.run([*offline, "true"]).returncode:
        offline = []
    return subprocess.run(
        [*offline, programs / "mdbook", *arguments],
        cwd=cwd, capture_output=True, text=True,
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
