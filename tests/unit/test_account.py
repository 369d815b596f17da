"""The account that tests stand in for AWS: what the lease relies on has to hold there too."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.containers import ROOT
from tests.aws import ask
from tests.servers import free_port, wait_until_ready

RACERS, ROUNDS = 20, 10
_SERVER = """
import sys
from tests.account import main, stand_in
# Threads change so often that moto alone lets two in, in about every fourth round.
sys.setswitchinterval(1e-6)
stand_in()
main(sys.argv[1:])
"""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-c", _SERVER, "-H", "127.0.0.1", "-p", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    wait_until_ready(address, 30, "/moto-api/")
    yield address
    process.terminate()
    process.wait(20)


def test_of_twenty_who_write_on_a_condition_one_does(url: str) -> None:
    tables = [ask("dynamodb", url) for _ in range(RACERS)]
    tables[0].create_table(
        TableName="swarm", KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}], BillingMode="PAY_PER_REQUEST",
    )  # fmt: skip
    for lease in range(ROUNDS):
        begin = threading.Barrier(RACERS)

        def take(racer: int, lease: int = lease, begin: threading.Barrier = begin) -> bool:
            table = tables[racer]
            begin.wait()
            try:
                table.update_item(
                    TableName="swarm", Key={"name": {"S": str(lease)}}, UpdateExpression="SET holder = :me",
                    ConditionExpression="attribute_not_exists(holder)",
                    ExpressionAttributeValues={":me": {"S": str(racer)}},
                )  # fmt: skip
            except table.exceptions.ConditionalCheckFailedException:
                return False
            return True

        with ThreadPoolExecutor(RACERS) as racers:
            holders = [racer for racer, taken in enumerate(racers.map(take, range(RACERS))) if taken]
        assert len(holders) == 1, f"lease {lease} is held by {holders}"
