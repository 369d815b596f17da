"""Claimers as a process of their own, to be killed: `python -m tests.claimers NAME COUNT FILE URL…`.

Each claims, completes, and writes every completion that was acknowledged to the file, until there is nothing more.
"""

import asyncio
import random
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import httpx

LEASE_SECONDS = 3


async def insist(client: httpx.AsyncClient, urls: list[str], path: str, body: dict[str, Any]) -> httpx.Response:
    """Ask one coordinator or the other under one Idempotency-Key until one answers, as our own client does."""
    key = {"Idempotency-Key": secrets.token_hex(8)}
    end = time.monotonic() + 60
    while True:
        try:
            answer = await client.post(f"{random.choice(urls)}/v1/{path}", json=body, headers=key)
            if answer.status_code != 503:
                return answer
        except httpx.TransportError:
            pass
        assert time.monotonic() < end, f"{path} got no answer for 60 s"
        await asyncio.sleep(0.1)


async def claim_until_done(client: httpx.AsyncClient, urls: list[str], agent: str, acknowledged: Any) -> None:
    """Claim two at a time; nothing for three seconds means that all is done, or in the hands of others."""
    idle = 0
    while idle < 3:
        request = {"agent": agent, "count": 2, "lease_seconds": LEASE_SECONDS, "wait_seconds": 1}
        claims = (await insist(client, urls, "claims", request)).json()["claims"]
        idle = 0 if claims else idle + 1
        for claim in claims:
            item, token = claim["item"]["id"], claim["token"]
            done = await insist(client, urls, f"work/{item}/complete", {"token": token})
            if done.status_code == 200:
                acknowledged.write(f"{item} {token}\n")
                acknowledged.flush()
            else:
                assert done.json()["code"] == "lease_lost", done.text


async def run(name: str, count: int, file: Path, urls: list[str]) -> None:
    """So many claimers at once."""
    limits = httpx.Limits(max_connections=count)
    with file.open("a") as acknowledged:
        async with httpx.AsyncClient(timeout=30, limits=limits) as client:
            await asyncio.gather(
                *(claim_until_done(client, urls, f"{name}-{number}", acknowledged) for number in range(count))
            )


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]))
