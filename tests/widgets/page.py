"""A plain page with a mounted player, served on this machine only."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from moe_lib.widgets import MODULE, check, compact

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width">
<style>:root{--bg:%(bg)s;--fg:%(fg)s}
body{margin:16px;background:var(--bg);color:var(--fg);font-family:system-ui}</style>
</head><body><div id="here"></div>
<script type="application/json" id="scene">%(scene)s</script>
<script type="module">
import { mount } from "./player.js";
const scene = JSON.parse(document.getElementById("scene").textContent);
window.player = mount(document.getElementById("here"), scene);
</script></body></html>"""

PAPER = {
    "light": {"bg": "#ffffff", "fg": "#1b1b1f"},
    "dark": {"bg": "#161923", "fg": "#bcbdd0"},
}


def write_page(folder: Path, scene: dict, theme: str = "light") -> None:
    """Put index.html and player.js into ``folder``."""
    scene = check(compact(scene))
    data = json.dumps(scene, separators=(",", ":")).replace("</", "<\\/")
    (folder / "index.html").write_text(_PAGE % (PAPER[theme] | {"scene": data}))
    (folder / "player.js").write_bytes(MODULE.read_bytes())


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve ``folder`` on a free port of 127.0.0.1; yields the address."""

    def handler(*args: object) -> _Quiet:
        return _Quiet(*args, directory=str(folder))

    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
