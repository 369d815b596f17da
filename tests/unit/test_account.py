"""The account that tests stand in for AWS: what the lease relies on has to hold there too."""

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from moto.server import ThreadedMotoServer

from tests.account import stand_in
from tests.aws import ask

RACERS, ROUNDS = 20, 10


@pytest.fixture
def url() -> Iterator[str]:
    stand_in()
    server, before = ThreadedMotoServer(port=0, verbose=False), sys.getswitchinterval()
    # Threads change so often that moto alone lets two in, in about every fourth round.
    sys.setswitchinterval(1e-6)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
    sys.setswitchinterval(before)


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
