"""The six reviewed previews as a reviewer sees them: rendered as GitHub does, in a real browser."""

from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from playwright.sync_api import Browser, expect

ROOT = Path(__file__).parents[2]
GOLDEN = sorted((ROOT / "tests" / "integration" / "golden").glob("*.md"))
PICTURES = ROOT / "build" / "pictures"
# GitHub's own measures of a comment: its width, its letters, its code.
STYLE = """
body { font: 14px/1.5 "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; color: #1f2328; width: 760px;
       margin: 16px; padding: 16px; border: 1px solid #d0d7de; border-radius: 6px; overflow-wrap: break-word; }
h2 { font-size: 21px; border-bottom: 1px solid #d0d7de; padding-bottom: 6px; margin-top: 0; }
code { background: #818b981f; border-radius: 6px; padding: .2em .4em; font-size: 85%; }
summary { cursor: pointer; }
"""


@pytest.mark.parametrize("golden", GOLDEN, ids=[file.stem for file in GOLDEN])
def test_a_preview_says_the_verdict_first_and_folds_the_rest(browser: Browser, golden: Path) -> None:
    html = MarkdownIt("gfm-like", {"linkify": False}).render(golden.read_text())
    page = browser.new_page(viewport={"width": 830, "height": 400})
    page.set_content(f"<!doctype html><style>{STYLE}</style><body>{html}")
    heading = page.locator("h2").first
    expect(heading).to_contain_text("blocked" if golden.stem == "lost-data" else "no rule is broken")
    assert page.evaluate("document.body.scrollWidth <= document.body.clientWidth"), "it is wider than a comment"
    chapters = page.locator("details").filter(has=page.locator(":scope > summary"))
    assert chapters.count() > 0
    heights = "[...document.querySelectorAll('body > :not(details)')].reduce((sum, one) => sum + one.offsetHeight, 0)"
    assert page.evaluate(heights) < 900, "a reviewer reads more than a screen before the details"
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"preview-{golden.stem}.png", full_page=True)
    page.close()
