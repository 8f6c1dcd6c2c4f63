"""What a reader does with an open notebook: run, look, stop, change the theme."""

from __future__ import annotations

import re
import time
from pathlib import Path
from urllib.parse import urlsplit

from lab_server import ROOT, Lab

SHOTS = ROOT / "build" / "screenshots"
SIZE = {"width": 1400, "height": 1000}
START_TIMEOUT = 60_000  # ms, for JupyterLab's page and for a kernel
RUN_TIMEOUT = 240_000  # ms, for a chapter; at most 90 s on a quiet machine

# A run command that is sent before the kernel is idle is lost without a word.
IDLE = r"#jp-main-statusbar :text-matches('\\| Idle')"
PROMPTS = """() => [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')]
  .filter(cell => cell.querySelector('.cm-content')?.textContent.trim())
  .map(cell => cell.querySelector('.jp-InputPrompt').textContent.trim())"""
ERRORS = """() => [...document.querySelectorAll('.jp-OutputArea-output')]
  .filter(out => /(stderr|error)$/.test(out.dataset.mimeType))
  .map(out => out.textContent.trim())"""
# What is drawn anew: the old figures are marked before the run.
MARK = """document.querySelectorAll('.js-plotly-plot, .moe-player')
  .forEach(node => (node.dataset.old = 1))"""
NEW = ".moe-player:not([data-old]), .js-plotly-plot:not([data-old])"
DRAWN = f"""() => {{ const node = document.querySelector("{NEW}");
  node?.scrollIntoView({{ block: 'center' }});
  return node && (node.dataset.ready || node.querySelector('.main-svg')) }}"""
TWO_FRAMES = """() => new Promise(done =>
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"""

# From the key press (the event's own time) to the end of the frame in which the
# plot's nodes had changed.
TIMER = """view => {
  const plot = view.querySelector('svg.plot');
  const seen = (window.seen = { plot, times: [], changed: false });
  new MutationObserver(() => (seen.changed = true)).observe(plot,
    { attributes: true, characterData: true, childList: true, subtree: true });
  addEventListener('keydown', event => {
    seen.changed = false;
    const after = () => requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => seen.changed
        ? seen.times.push(performance.now() - event.timeStamp) : after();
      port2.postMessage(0);
    });
    after();
  }, true);
}"""


class LabPage:
    """One notebook in JupyterLab, and all trouble that the page reported."""

    def __init__(self, browser, lab: Lab, name: str, at: str | None = None) -> None:
        self.lab, self.name = lab, name
        self.troubles: list[str] = []
        self.page = page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(START_TIMEOUT)
        page.on("pageerror", lambda e: self.troubles.append(f"error: {e}"))
        page.on("console", self._on_console)
        page.on("request", lambda request: self._on_address(request.url))
        page.on("websocket", lambda socket: self._on_address(socket.url))
        page.goto(lab.page(at or f"/lab/tree/{name}.ipynb"))
        page.wait_for_selector(IDLE)

    def close(self) -> None:
        """Close the page and end the kernel: it holds some 400 MB."""
        self.page.close()
        self.lab.end_kernels()

    def _on_console(self, line) -> None:
        if line.type == "error":
            self.troubles.append(f"console: {line.text} {line.location.get('url')}")

    def _on_address(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            self.troubles.append(f"request to another host: {url}")

    def frames(self) -> None:
        """Wait until what was changed is on the screen."""
        self.page.evaluate(TWO_FRAMES)

    # ---- running -----------------------------------------------------------------
    def menu(self, *labels: str) -> None:
        """Choose an entry of the menus, such as ("Run", "Run All Cells")."""
        self.page.locator("#jp-MainMenu .lm-MenuBar-itemLabel").get_by_text(
            labels[0], exact=True
        ).click()
        for label in labels[1:]:
            self.page.locator(".lm-Menu-itemLabel").get_by_text(
                label, exact=True
            ).click()

    def run_all(self) -> tuple[float, float]:
        """Run every cell; seconds to the first picture drawn, and to the end."""
        self.page.evaluate(MARK)
        start = time.monotonic()
        self.menu("Run", "Run All Cells")
        self.page.wait_for_function(DRAWN, timeout=RUN_TIMEOUT, polling=50)
        first = time.monotonic() - start
        self.wait_until_run()
        return first, time.monotonic() - start

    def wait_until_run(self) -> None:
        """Until no cell waits or runs any more (after an error none waits)."""
        self.page.wait_for_function(
            f"() => !({PROMPTS})().includes('[*]:')", timeout=RUN_TIMEOUT, polling=200
        )
        self.page.wait_for_selector(IDLE, timeout=RUN_TIMEOUT)

    def prompts(self) -> list[str]:
        """Of each code cell that is not empty: "[3]:"."""
        return self.page.evaluate(PROMPTS)

    def errors(self) -> list[str]:
        """Tracebacks and everything on stderr."""
        return self.page.evaluate(ERRORS)

    # ---- looking -----------------------------------------------------------------
    def switch_theme(self, name: str) -> None:
        """Through the menu, as a reader does, while everything stays open."""
        self.menu("Settings", "Theme", name)
        self.page.wait_for_function(
            "name => document.body.dataset.jpThemeName === name"
            " && !document.getElementById('jupyterlab-splash')",
            arg=name,
        )
        self.frames()

    def point_at(self, css: str) -> None:
        """Move the mouse onto the first such node (which may vanish thereby)."""
        node = self.page.locator(css).first
        node.evaluate("node => node.scrollIntoView({ block: 'center' })")
        self.frames()
        box = node.bounding_box()
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def shoot(self, kind: str) -> list[Path]:
        """Pictures from top to bottom, into build/screenshots/NAME-KIND-NN.png."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        for old in SHOTS.glob(f"{self.name}-{kind}-*.png"):
            old.unlink()
        self.page.mouse.move(SIZE["width"] / 2, 5)  # nothing is pointed at
        scroller = self.page.locator(".jp-WindowedPanel-outer").first
        shots, at = [], 0
        while True:
            scroller.evaluate("(node, top) => (node.scrollTop = top)", at)
            self.frames()
            path = SHOTS / f"{self.name}-{kind}-{len(shots):02}.png"
            self.page.screenshot(path=path)
            shots.append(path)
            # heights are known only once a cell was on the screen: ask each time
            top, seen, whole = scroller.evaluate(
                "node => [node.scrollTop, node.clientHeight, node.scrollHeight]"
            )
            if top + seen >= whole - 2:
                return shots
            at = top + seen - 60


def numbers(prompts: list[str]) -> list[int | None]:
    """Execution counts of prompts; None for a cell that was not run."""
    return [int(p[1:-2]) if re.fullmatch(r"\[\d+\]:", p) else None for p in prompts]
