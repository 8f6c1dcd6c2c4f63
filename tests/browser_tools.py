"""Find and start Chromium for the tests that look at a page.

Playwright's own download is not used: an installed browser is enough.
"""

from __future__ import annotations

import os
import shutil

#: What a test prints when it is skipped for want of a browser.
HOW_TO_GET_CHROMIUM = (
    "no Chromium found: install one (Debian or Ubuntu: apt-get install chromium), "
    "or put the path of a Chrome or Chromium in the variable CHROMIUM"
)

#: Quiet and offline: no sandbox (containers), no update or sync traffic.
LAUNCH_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium_path() -> str | None:
    """Path of an installed Chromium or Chrome, or None.

    ``$CHROMIUM`` (a path, or a name in PATH) is looked at first, then the
    usual names in PATH.
    """
    for name in (os.environ.get("CHROMIUM"), *_NAMES):
        path = shutil.which(name) if name else None
        if path:
            return path
    return None


def missing_browser() -> str | None:
    """Why no page can be opened here (one line), or None when all is there."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is missing: pip install playwright"
    return None if chromium_path() else HOW_TO_GET_CHROMIUM


def launch(playwright):
    """Start headless Chromium; ``playwright`` is what sync_playwright() yields."""
    return playwright.chromium.launch(
        executable_path=chromium_path(), headless=True, args=LAUNCH_ARGS
    )
