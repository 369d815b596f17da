"""What the coordinator takes: `make bench` runs this and writes build/bench.json, one number a key.

Comparisons are made side by side in one run, in turns, and printed as ratios. The medians of the turns count: what else
the machine does meets all alike.
"""

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from tests.bench.lifecycles import run_agents, run_closed
from tests.bench.pgbench import run_pgbench
from tests.conftest import Database
from tests.servers import migrate, running

ROOT = Path(__file__).parents[2]
FINISHED, READY = 100_000, 10_000
CLIENTS, TURNS, SECONDS = 32, 3, 8
CLAIMS, ROUNDS = 100, 6
AGENTS, WORKING, WORK_SECONDS, LOAD_SECONDS = 1_000, 100, 0.5, 30
SPARE = 1_000
"""Ready items beside those of the clients: pgbench's claims must always find one."""
MEMORY_MB, START_SECONDS, P99_MS = 150, 2, 100
FILL = """
INSERT INTO work_item (id, type, title, description, priority, rank, labels, skills, points, payload, status,
                       max_attempts, created_at, ready_at, claimed_at, finished_at, agent)
SELECT 'old-' || n, 'old', 'x', '', 'low', now_ms(), '[]', '[]', 1, 'null',
       CASE WHEN n <= {finished} THEN 'completed' ELSE 'ready' END, 3, now_ms(), now_ms(), now_ms(),
       CASE WHEN n <= {finished} THEN now_ms() END, CASE WHEN n <= {finished} THEN 'ada' END
FROM generate_series(1, {finished} + {ready}) AS n
"""


@pytest.fixture
def database(durable_postgresql: Database) -> Database:
    """On a disk: what is measured is what is kept."""
    return durable_postgresql.on_bridge()


def keep(**figures: float) -> None:
    """Add figures to build/bench.json, and print them."""
    file = ROOT / "build" / "bench.json"
    file.parent.mkdir(exist_ok=True)
    kept = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(kept | figures, indent=2, sort_keys=True) + "\n")
    for name, value in figures.items():
        print(f"{name} = {value}")


@contextmanager
def coordinator(store: dict[str, str], log: Path) -> Iterator[tuple[int, psutil.Process, float]]:
    """One that serves: its port, its process, and the seconds until it was ready."""
    migrate(store)
    begin = time.perf_counter()
    with running(store, log) as (url, process):
        yield int(url.rpartition(":")[2]), psutil.Process(process.pid), time.perf_counter() - begin


def fill(database: Database, store: dict[str, str], *, finished: int, ready: int) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(store["COORDINATOR_DATABASE_URL"], password=database.password.read_text())
        await connection.execute(FILL.format(finished=finished, ready=ready))
        await connection.execute("ANALYZE")
        await connection.close()

    asyncio.run(run())


def name_of(store: dict[str, str]) -> str:
    return store["COORDINATOR_DATABASE_URL"].rpartition("/")[2]


def test_lifecycles_against_pgbench(database: Database, tmp_path: Path) -> None:
    ours_store, theirs_store = database.make_store(), database.make_store()
    migrate(theirs_store)
    fill(database, theirs_store, finished=0, ready=SPARE)
    ours, theirs = [], []
    with coordinator(ours_store, tmp_path / "log") as (port, process, _):
        fill(database, ours_store, finished=0, ready=SPARE)
        for _ in range(TURNS):
            ours.append(run_closed(port, CLIENTS, SECONDS).per_second)
            theirs.append(run_pgbench(database.container, name_of(theirs_store), CLIENTS, SECONDS))
        memory = process.memory_info().rss / 2**20
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(f"life cycles a second, {CLIENTS} clients: coordinator {ours}, pgbench {theirs}")
    keep(lifecycles_vs_pgbench=round(ratio, 2), lifecycles_per_second=round(statistics.median(ours)))
    assert ratio >= 0.5
    assert memory < MEMORY_MB, f"{memory:.0f} MB"


def test_lifecycles_against_procrastinate(database: Database, tmp_path: Path) -> None:
    ours_store, theirs_store = database.make_store(), database.make_store()
    theirs_url = theirs_store["COORDINATOR_DATABASE_URL"]
    ours, theirs = [], []
    with coordinator(ours_store, tmp_path / "log") as (port, _, _):
        for _ in range(TURNS):
            ours.append(run_closed(port, CLIENTS, SECONDS).per_second)
            done = subprocess.run(
                [sys.executable, "-m", "tests.bench.procrastinate_lifecycles", theirs_url, str(CLIENTS)],
                env={**os.environ, "PGPASSWORD": database.password.read_text()},
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            )
            theirs.append(float(done.stdout))
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(f"life cycles a second, {CLIENTS} clients: coordinator {ours}, procrastinate {theirs}")
    keep(lifecycles_vs_procrastinate=round(ratio, 2))
    assert ratio > 1


def test_claims_against_the_shell(database: Database, tmp_path: Path) -> None:
    script = os.environ.get("BASELINE")
    if script is None:
        pytest.skip("BASELINE=…/coordination_helper.sh is not given: claims_vs_shell is not measured")
    with coordinator(database.make_store(), tmp_path / "log") as (port, _, _):
        ours = run_closed(port, 20, 20)
    shutil.copy(script, tmp_path / "coordination_helper.sh")
    done = subprocess.run(
        [ROOT / "tests" / "bench" / "shell_claims.sh", tmp_path / "coordination_helper.sh", "20", "20"],
        capture_output=True,
        text=True,
        check=True,
    )
    attempts, claims = map(int, done.stdout.split())
    ratio = len(ours.claims) / ours.seconds / (claims / 20)
    print(f"claims a second, 20 claimers for 20 s: coordinator {len(ours.claims) / ours.seconds:.0f} (each submitted "
          f"and completed besides), the shell {claims / 20:.2f} ({claims} of {attempts} attempts)")  # fmt: skip
    keep(claims_vs_shell=round(ratio))
    assert ratio >= 500


def test_a_claim_among_a_thousand_agents(database: Database, tmp_path: Path) -> None:
    store = database.make_store()
    with coordinator(store, tmp_path / "log") as (port, process, seconds):
        fill(database, store, finished=FINISHED, ready=READY)
        run = run_agents(port, AGENTS, WORKING, WORK_SECONDS, LOAD_SECONDS)
        memory = process.memory_info().rss / 2**20
    p99, median = run.claim_p99_ms(), statistics.median(run.claims) * 1000
    print(
        f"{AGENTS} agents renewing every 15 s, {WORKING} of them working {WORK_SECONDS} s an item for "
        f"{LOAD_SECONDS} s: {run.per_second:.0f} life cycles a second, claim p50 {median:.1f} ms, p99 {p99:.1f} ms"
    )
    keep(claim_p99_ms_1000_agents=round(p99, 1), rss_mb=round(memory, 1), start_s=round(seconds, 2))
    assert p99 < P99_MS
    assert memory < MEMORY_MB
    assert seconds < START_SECONDS


async def median_claim(client: httpx.AsyncClient, url: str) -> float:
    """Seconds of a claim that finds something, alone; the median of `CLAIMS`."""
    times = []
    for _ in range(CLAIMS):
        await client.post(f"{url}/v1/work", json={"type": "bench", "title": "x", "priority": "critical"})
        begin = time.perf_counter()
        answer = await client.post(f"{url}/v1/claims", json={"agent": "ada"})
        times.append(time.perf_counter() - begin)
        (claim,) = answer.json()["claims"]
        await client.post(f"{url}/v1/work/{claim['item']['id']}/complete", json={"token": claim["token"]})
    return statistics.median(times)


def test_a_claim_from_a_full_store_against_one_from_an_empty(database: Database, tmp_path: Path) -> None:
    empty, full = database.make_store(), database.make_store()

    async def measure(urls: list[str]) -> list[list[float]]:
        async with httpx.AsyncClient(timeout=30) as client:
            return [[await median_claim(client, url) for url in urls] for _ in range(ROUNDS)]

    with coordinator(empty, tmp_path / "log") as (one, _, _), coordinator(full, tmp_path / "log") as (other, _, _):
        fill(database, full, finished=FINISHED, ready=READY)
        measured = asyncio.run(measure([f"http://127.0.0.1:{port}" for port in (one, other)]))
    ratio = statistics.median(many for _, many in measured) / statistics.median(few for few, _ in measured)
    keep(claim_full_vs_empty=round(ratio, 2))
    assert ratio < 1.3, f"empty and full, seconds: {measured}"
