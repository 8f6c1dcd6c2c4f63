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


@pytest.fixture
def visit(browser, book):
    """``visit(name, theme, width)`` opens a chapter; no page may report trouble."""
    troubles: list[str] = []
    contexts = []

    def open_page(name: str, theme: str = "light", width: int = 1200):
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(f"localStorage.setItem('mdbook-theme', '{theme}')")
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "console",
            lambda line: line.type == "error" and troubles.append(line.text),
        )
        page.on(
            "request",
            lambda request: (
                request.url.startswith((book.url, "data:", "blob:"))
                or troubles.append(f"request to {request.url}")
            ),
        )
        page.weights = []
        page.on("response", lambda answer: page.weights.append(len(answer.body())))
        page.goto(f"{book.url}/{name}.html")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not troubles
