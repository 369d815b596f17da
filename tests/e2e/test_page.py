"""The web page in a real browser: live, by keyboard, on a phone, in the dark, and with a sign-in."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from coordinator.client import Client
from coordinator.model import ClaimRequest, Completion, Registration, Submission
from playwright.sync_api import Browser, Locator, Page, expect

from tests.servers import make_token, serve
from tests.waiting import wait_until

PICTURES = Path(__file__).parents[2] / "build" / "pictures"


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as client:
        client.register(Registration("ada", team="platform", capacity=3))
        client.submit(Submission("build", "Build the release", team="platform", points=3))
        client.submit(Submission("docs", "<img src=x onerror=alert(1)>", team="writers"))
        yield client


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    page.on("dialog", lambda dialog: faults.append(f"a dialog: {dialog.message}"))
    yield page
    context.close()
    # What could not be loaded, because of a missing token or a coordinator that is away, is part of some tests.
    assert [fault for fault in faults if not fault.startswith("Failed to load resource")] == []


def picture(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


def table_row(page: Page, section: str, first: str) -> Locator:
    row = page.locator(f"#{section} tr").filter(has=page.locator("td:first-child", has_text=re.compile(f"^{first}$")))
    return row.locator("td")


def test_the_board_follows_without_a_reload(page: Page, client: Client, url: str) -> None:
    page.goto(url)
    expect(page.get_by_role("status")).to_have_text("live")
    expect(page.locator("#teams tr", has_text="platform")).to_be_visible()
    expect(table_row(page, "teams", "platform")).to_have_text(["platform", "0", "1", "0", "0", "0", "0"])
    (claim,) = client.claim(ClaimRequest("ada", team="platform"))
    expect(page.locator("#events li").first).to_contain_text("claimed · by ada")
    expect(page.locator("#agents tr", has_text="ada")).to_contain_text("1/3")
    client.complete(claim.item.id, Completion(claim.token))
    expect(page.locator("#work tr", has_text="Build the release")).to_contain_text("completed")
    expect(table_row(page, "teams", "platform")).to_have_text(["platform", "0", "0", "0", "1", "0", "0"])


def test_charts_show_throughput_latency_and_queue_age(page: Page, client: Client, url: str) -> None:
    # A chart's newest span is the minute of the clock.
    wait_until("the minute does not end", 30, lambda: time.time() % 60 < 45)
    (claim,) = client.claim(ClaimRequest("ada", team="platform"))
    client.complete(claim.item.id, Completion(claim.token))
    page.goto(url)
    for chart in ("throughput", "latency", "queue-age"):
        expect(page.locator(f"#{chart} canvas")).to_be_visible()
    expect(page.locator("#throughput-now")).to_have_text("1 completed")
    expect(page.locator("#queue-age-now")).to_have_text(re.compile(r"^\d+ s$"))
    drawn = page.locator("#throughput canvas").evaluate(
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(value => value)"
    )
    assert drawn, "the chart is blank"


def test_health_shows_each_part(page: Page, client: Client, url: str) -> None:  # noqa: ARG001 - the store is filled
    page.goto(url)
    expect(page.locator("#score")).to_have_text(re.compile(r"^\d+(\.\d)?$"))
    expect(page.locator("#parts tr")).to_have_count(8)


def test_an_items_history_opens_by_keyboard_alone(page: Page, client: Client, url: str) -> None:
    client.claim(ClaimRequest("ada", team="platform"))
    page.goto(url)
    button = page.get_by_role("button", name="Build the release")
    expect(button).to_be_visible()
    for _ in range(20):
        page.keyboard.press("Tab")
        if button.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.locator("#history-events li")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_what_strangers_wrote_is_text(page: Page, client: Client, url: str) -> None:  # noqa: ARG001 - the store is filled
    page.goto(url)
    expect(page.get_by_role("button", name="<img src=x onerror=alert(1)>")).to_be_visible()
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_reads_well_wide_and_on_a_phone(browser: Browser, client: Client, url: str, scheme: str) -> None:
    client.claim(ClaimRequest("ada", team="platform"))
    for name, width in (("wide", 1280), ("phone", 390)):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if scheme == "dark" else "light"
        )
        page = context.new_page()
        page.goto(url)
        expect(page.locator("#queue-age canvas")).to_be_visible()
        expect(page.locator("#work tr")).to_have_count(2)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} scrolls sideways"
        board = page.locator("[aria-labelledby=board-title]")
        assert board.evaluate("one => one.scrollWidth <= one.clientWidth"), f"{name}: the board scrolls sideways"
        ink, paper = page.evaluate(
            "() => ['color', 'backgroundColor'].map(name => getComputedStyle(document.documentElement)[name]"
            ".match(/\\d+/g).slice(0, 3).map(Number))"
        )
        assert (sum(ink) > sum(paper)) == (scheme == "dark"), f"{scheme}: {ink} on {paper}"
        picture(page, f"page-{name}-{scheme}")
        context.close()


def test_with_authentication_it_asks_for_a_token(page: Page, embedded: dict[str, str], tmp_path: Path) -> None:
    token = make_token(embedded, "viewer")
    with serve({**embedded, "COORDINATOR_AUTHENTICATE": "true"}, tmp_path / "log") as url:
        page.goto(url)
        expect(page.get_by_label("This coordinator asks for a token.")).to_be_focused()
        picture(page, "page-sign-in")
        page.keyboard.type("cbt_wrong.token")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("The token is unknown or revoked.")
        page.get_by_label("This coordinator asks for a token.").fill(token)
        page.keyboard.press("Enter")
        expect(page.locator("#score")).to_be_visible()
        expect(page.get_by_role("status")).to_have_text("live")


def test_it_finds_back_when_the_coordinator_was_away(page: Page, embedded: dict[str, str], tmp_path: Path) -> None:
    with serve(embedded, tmp_path / "log") as url:
        page.goto(url)
        expect(page.get_by_role("status")).to_have_text("live")
        port = int(url.rpartition(":")[2])
    expect(page.get_by_role("status")).not_to_have_text("live")
    with serve(embedded, tmp_path / "log", port) as url, Client(url) as client:
        expect(page.get_by_role("status")).to_have_text("live", timeout=15_000)
        client.submit(Submission("build", "After it came back"))
        expect(page.get_by_role("button", name="After it came back")).to_be_visible()
