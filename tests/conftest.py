"""One Chromium for all tests: playwright runs only once in a process."""

import pytest

import browser_tools


@pytest.fixture(scope="session")
def browser():
    if problem := browser_tools.missing_browser():
        pytest.skip(problem)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = browser_tools.launch(playwright)
        yield browser
        browser.close()
