"""What tests in a real browser stand on."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from cli.browser import ensure_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = ensure_browser()
    # As root Chromium runs without its sandbox alone; it shows nothing but what tests serve.
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()
