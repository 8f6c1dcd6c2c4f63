"""The built book, served on this machine."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from building import ROOT, mdbook


class Book(NamedTuple):
    folder: Path
    seconds: float
    url: str


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    start = time.perf_counter()
    done = mdbook("build", "-d", folder)
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    api = [sys.executable, ROOT / "tools" / "api.py", folder / "api"]
    subprocess.run(api, check=True)
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Book(folder, seconds, f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
