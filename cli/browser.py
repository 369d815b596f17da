"""Chromium for the tests of the web page: Debian's, because Playwright's own cannot be downloaded everywhere."""

import shutil

from cli.commands import install
from cli.console import step


def ensure_browser() -> str:
    """The path of a Chromium, installed from Debian's packages when there is none.

    Raises:
        StopError: there is none, and it cannot be installed.
    """
    if found := shutil.which("chromium"):
        return found
    with step("Installing Chromium"):
        install("chromium", "fonts-noto-color-emoji")  # signs such as ✅ are in no other font
    return ensure_browser()
