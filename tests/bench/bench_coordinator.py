"""What the coordinator takes: `make bench` runs this and writes build/bench.json, one number a key.

Comparisons are made side by side in one run and printed as ratios.
"""

import asyncio
import json
import statistics
import time
from pathlib import Path

import asyncpg
import httpx
import psutil

from tests.servers import free_port, migrate, start, wait_until_ready

ROOT = Path(__file__).parents[2]
FINISHED, READY = 100_000, 10_000
ROUNDS, CLAIMS = 6, 100
FILL = """
INSERT INTO work_item (id, type, title, description, priority, rank, labels, skills, points, payload, status,
                       max_attempts, created_at, ready_at, claimed_at, finished_at, agent)
SELECT 'old-' || n, 'old', 'x', '', 'low', now_ms(), '[]', '[]', 1, 'null',
       CASE WHEN n <= {finished} THEN 'completed' ELSE 'ready' END, 3, now_ms(), now_ms(), now_ms(),
       CASE WHEN n <= {finished} THEN now_ms() END, CASE WHEN n <= {finished} THEN 'ada' END
FROM generate_series(1, {finished} + {ready}) AS n
"""


def keep(**figures: float) -> None:
    """Add figures to build/bench.json, and print them."""
    file = ROOT / "build" / "bench.json"
    file.parent.mkdir(exist_ok=True)
    kept = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(kept | figures, indent=2, sort_keys=True) + "\n")
    for name, value in figures.items():
        print(f"{name} = {value}")


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


async def fill(store: dict[str, str], password: str) -> None:
    connection = await asyncpg.connect(store["COORDINATOR_DATABASE_URL"], password=password)
    await connection.execute(FILL.format(finished=FINISHED, ready=READY))
    await connection.execute("ANALYZE")
    await connection.close()


async def measure(urls: list[str]) -> list[list[float]]:
    async with httpx.AsyncClient(timeout=30) as client:
        # In turns, so that what else the machine does meets all alike.
        return [[await median_claim(client, url) for url in urls] for _ in range(ROUNDS)]


def test_a_claim_from_a_full_store_against_one_from_an_empty(stores: list[dict[str, str]], tmp_path: Path) -> None:
    processes, urls = [], []
    for store in stores:
        migrate(store)
        begin = time.perf_counter()
        port = free_port()
        processes.append(start(store, port, tmp_path / "log"))
        urls.append(f"http://127.0.0.1:{port}")
        wait_until_ready(urls[-1])
        start_s = time.perf_counter() - begin
    try:
        asyncio.run(fill(stores[1], Path(stores[1]["COORDINATOR_DATABASE_PASSWORD_FILE"]).read_text()))
        measured = asyncio.run(measure(urls))
        memory = psutil.Process(processes[1].pid).memory_info().rss
    finally:
        for process in processes:
            process.terminate()
            process.wait(20)
    ratio = statistics.median(full for _, full in measured) / statistics.median(empty for empty, _ in measured)
    keep(claim_full_vs_empty=round(ratio, 2), start_s=round(start_s, 2), rss_mb=round(memory / 2**20, 1))
    assert ratio < 1.3, f"empty and full, seconds: {measured}"
