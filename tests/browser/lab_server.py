"""JupyterLab as ``make lab`` starts it, over a copy of the chapters."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "of-the-tests"
START_TIMEOUT = 90  # seconds; five on a quiet machine


class Lab(NamedTuple):
    """A running server: its address, and the folder that it shows."""

    url: str
    chapters: Path

    def page(self, path: str = "/") -> str:
        """Address of a page, with the token; tabs of earlier visits stay closed."""
        return f"{self.url}{path}?token={TOKEN}&reset"

    def api(self, path: str, method: str = "GET") -> bytes:
        """Body of the server's answer."""
        headers = {"Authorization": f"token {TOKEN}"}
        request = urllib.request.Request(
            f"{self.url}/api/{path}", headers=headers, method=method
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def end_kernels(self) -> None:
        """End every kernel that runs."""
        for session in json.loads(self.api("sessions")):
            self.api(f"sessions/{session['id']}", "DELETE")


def make_lab_command(port: int) -> str:
    """The shell command of the Makefile's target ``lab``, with a port and a token."""
    arguments = (
        f"--no-browser --port={port} --ServerApp.port_retries=0"
        f" --ServerApp.ip=127.0.0.1 --IdentityProvider.token={TOKEN}"
    )
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "-o", ".venv/ready", "lab",
         f"BIN={Path(sys.executable).parent}", f"LAB_ARGS={arguments}"],
        cwd=ROOT, env=_without("MAKE"), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def _without(*prefixes: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(prefixes)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_up(lab: Lab, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            lab.api("status")
            return
        except (URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


@contextmanager
def running_lab(folder: Path) -> Iterator[Lab]:
    """Start JupyterLab in ``folder``; at the end it is gone, and so are its kernels.

    The reader's own settings take no part (HOME is the folder as well), and the
    tracked notebooks are copied, for JupyterLab saves what it has run.
    """
    ignore = shutil.ignore_patterns(".*", "assets")
    shutil.copytree(ROOT / "chapters", folder / "chapters", ignore=ignore)
    port = _free_port()
    lab = Lab(f"http://127.0.0.1:{port}", folder / "chapters")
    log = folder / "lab.log"
    env = _without("JUPYTER", "IPYTHON", "XDG_", "MOE_LIB") | {
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",  # as the Makefile exports them
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            f"exec env {make_lab_command(port)}", shell=True, cwd=folder, env=env,
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        _wait_until_up(lab, process, log)
        yield lab
    finally:
        _stop(process)


def _stop(process: subprocess.Popen) -> None:
    """On SIGTERM the server ends its kernels, then itself."""
    for sign, patience in ((signal.SIGTERM, 30), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, sign)
            process.wait(patience)
            return
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return
