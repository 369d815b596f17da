"""Two versions side by side on one store: one serves, the other stands by, and there is no moment without either."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from os import environ
from pathlib import Path

import httpx
import pytest

from tests.servers import embed, free_port, serve, start, wait_until_ready
from tests.waiting import wait_until


@pytest.fixture
def store(tmp_path: Path) -> dict[str, str]:
    return embed(tmp_path)


@pytest.fixture
def sides(store: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    with ExitStack() as ended:
        urls = {}
        for colour in ("blue", "green"):
            port = free_port()
            process = start({**store, "COORDINATOR_COLOUR": colour}, port, tmp_path / f"{colour}.log")
            ended.callback(process.wait, 20)
            ended.callback(process.terminate)
            urls[colour] = f"http://127.0.0.1:{port}"
        wait_until_ready(urls["blue"])
        wait_until("green does not live", 30, lambda: httpx.get(f"{urls['green']}/healthz"), (httpx.TransportError,))
        yield urls


def readiness(urls: dict[str, str]) -> dict[str, int]:
    return {colour: httpx.get(f"{url}/readyz").status_code for colour, url in urls.items()}


def switch(store: dict[str, str], colour: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "coordinator", "admin", "switch", colour]
    return subprocess.run(command, env={**environ, **store}, capture_output=True, text=True, check=False)


def test_one_serves_until_the_other_does(store: dict[str, str], sides: dict[str, str]) -> None:
    assert readiness(sides) == {"blue": 200, "green": 503}
    assert "standby" in httpx.get(f"{sides['green']}/readyz").text
    assert httpx.get(f"{sides['green']}/healthz").status_code == 200, "who stands by is healthy"
    for colour, other in (("green", "blue"), ("blue", "green")):
        assert switch(store, colour).stdout == f"serves {colour}\n"
        both, end = 0, time.monotonic() + 30
        while (found := readiness(sides)) != {colour: 200, other: 503}:
            assert 200 in found.values(), "for a moment nobody was ready"
            both += set(found.values()) == {200}
            assert time.monotonic() < end, f"{colour} does not serve alone; see its log: {found}"
            time.sleep(0.02)
        assert both > 2, "the one that served goes on until the proxies have found the other"


def test_a_version_without_a_colour_forgets_what_was_chosen(
    store: dict[str, str], sides: dict[str, str], tmp_path: Path
) -> None:
    assert switch(store, "green").returncode == 0
    wait_until("green does not serve alone", 30, lambda: readiness(sides) == {"blue": 503, "green": 200})
    with serve(store, tmp_path / "plain.log"):
        wait_until("blue does not serve again", 30, lambda: readiness(sides) == {"blue": 200, "green": 503})


def test_nothing_is_switched_to_who_is_not_there(store: dict[str, str]) -> None:
    refused = switch(store, "green")
    assert (
        refused.returncode == 1 and refused.stderr == "coordinator: no green coordinator runs: nothing was switched\n"
    )


def test_there_are_two_colours(store: dict[str, str]) -> None:
    refused = switch(store, "red")
    assert refused.returncode == 2 and "'blue', 'green'" in refused.stderr
