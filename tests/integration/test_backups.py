"""A backup of one stack, restored into a fresh one; and what is no backup, which changes nothing."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.toolchain import Toolchain
from components.containers import Source
from tests.integration.test_events import following, take
from tests.load import Load
from tests.reliability import keep
from tests.servers import free_port, post, wait_until_ready
from tests.user import User


@pytest.fixture(scope="module")
def user(
    source: Source,
    toolchain: Toolchain,  # noqa: ARG001 - built before it is timed
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[User]:
    user = User(tmp_path_factory.mktemp("backup"), source, free_port())
    user.configure(distribution={"proxy": {"port": user.port}})
    yield user
    code, said = user.run("down")
    assert code == 0, said


def deploy(user: User) -> str:
    code, said = user.run("up")
    assert code == 0, said
    url = f"http://127.0.0.1:{user.port}"
    wait_until_ready(url)
    return url


def everything(url: str) -> list[dict[str, Any]]:
    items = httpx.get(f"{url}/v1/work", params={"count": 500}, timeout=30).json()["items"]
    return sorted(items, key=lambda item: str(item["id"]))


def write(url: str, path: str, **content: Any) -> dict[str, Any]:
    """What is answered; proxies that met a coordinator without its connections look again half a second later."""
    with httpx.Client(base_url=url, timeout=30) as client:
        answer: dict[str, Any] = post(client, path, content).raise_for_status().json()
        return answer


def test_a_backup_is_restored_into_a_fresh_stack(user: User, tmp_path: Path) -> None:
    url, file = deploy(user), tmp_path / "work.dump"
    for number in range(20):
        write(url, "/v1/work", type="keep", title=str(number))
    (done, held) = write(url, "/v1/claims", agent="ada", type="keep", count=2)["claims"]
    write(url, f"/v1/work/{done['item']['id']}/complete", token=done["token"])
    kept = everything(url)
    code, said = user.run("backup", "dev", "account", "--file", str(file))
    assert code == 0 and file.stat().st_mode & 0o077 == 0, said
    # What happens after a backup is not in it, and what was given out after it may not count for anything.
    (stale,) = write(url, "/v1/claims", agent="bob", type="keep", lease_seconds=600)["claims"]
    lock = write(url, "/v1/locks/later", agent="bob")
    (event,) = httpx.get(f"{url}/v1/events", params={"count": 1}, timeout=30).json()["events"]
    assert user.run("down")[0] == 0

    url = deploy(user)
    with Load(url, per_second=20) as load:
        code, said = user.run("restore", "dev", "account", str(file))
    assert code == 0, said
    keep("a restore into a fresh stack", load.figures)
    wait_until_ready(url)
    assert all(failure.startswith("503 ") for failure in load.failures), load.report()

    def told(items: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        return [(item["id"], item["title"], item["status"], item["result"]) for item in items]

    now = {item["id"]: item for item in everything(url)}
    assert told([now[item["id"]] for item in kept if item["id"] != held["item"]["id"]]) == told(
        [item for item in kept if item["id"] != held["item"]["id"]]
    )
    (again,) = write(url, "/v1/claims", agent="eve", id=stale["item"]["id"])["claims"]
    assert again["token"] > stale["token"]
    assert write(url, "/v1/locks/later", agent="eve")["token"] > lock["token"]
    for old in (held, stale):
        with httpx.Client(base_url=url, timeout=30) as client:
            answer = post(client, f"/v1/work/{old['item']['id']}/complete", {"token": old["token"]})
        assert answer.json()["code"] == "lease_lost", "a token from before the restore is still good"
    history = httpx.get(f"{url}/v1/work/{done['item']['id']}/history", timeout=30).json()["events"]
    assert [one["kind"] for one in history] == ["submitted", "claimed", "completed"]
    asyncio.run(check_stream(url, event["id"]))
    code, said = user.run("restore", "dev", "account", str(file))
    assert code == 0, said
    wait_until_ready(url)
    (third,) = write(url, "/v1/claims", agent="eve", id=stale["item"]["id"])["claims"]
    assert third["token"] > again["token"], "the second restore of a backup gives the first one's tokens again"


async def check_stream(url: str, before: str) -> None:
    """Whoever followed the old store is told so, and what follows now comes to who follows the new one."""
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.get(f"{url}/v1/events/stream", headers={"Last-Event-ID": before})
        assert answer.json()["code"] == "event_id_wrong"
        async with following(url) as events:
            await client.post(f"{url}/v1/work", json={"type": "new", "title": "after"})
            (first,) = await take(events, 1)
    assert first["kind"] == "submitted"


def test_what_cannot_be_restored_changes_nothing(user: User, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{user.port}"
    before = everything(url)
    whole = tmp_path / "whole.dump"
    assert user.run("backup", "dev", "account", "--file", str(whole))[0] == 0
    cut, foreign = tmp_path / "cut.dump", tmp_path / "foreign.dump"
    cut.write_bytes(whole.read_bytes()[:3000])
    foreign.write_text("SELECT 1;")
    for file, line in (
        (cut, "was not restored, and nothing has changed: pg_restore: error: could not read from input file"),
        (foreign, "is no backup; `make backup` writes one"),
        (tmp_path / "missing", "cannot be read: No such file or directory"),
    ):
        code, said = user.run("restore", "dev", "account", str(file))
        assert code == 1 and "Traceback" not in said
        assert said.strip().splitlines()[-1].startswith(f"beamops: {file}: {line}"), said
    assert [item["id"] for item in everything(url)] == [item["id"] for item in before]


def test_a_database_that_is_rds_is_not_backed_up_here(user: User) -> None:
    code, said = user.run("backup", "staging", BEAMOPS_STACK_FILE="Pulumi.staging.yaml")
    assert code == 1
    assert said.strip() == (
        "beamops: staging's database is RDS, which keeps backups itself; docs/operating.md says how to go back"
    )
