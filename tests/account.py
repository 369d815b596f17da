"""moto's server as an AWS account, with what the tests need of one and moto has not. Run as a module.

A conditional write is atomic, as DynamoDB's is: moto looks at the condition and writes in two steps, and of twenty who
race for a lease two may get it. With BEAMOPS_REGISTRY, a port on loopback, ECR's repositories are in the registry
there. Session Manager lets sessions start.
"""

import json
import os
import sys
import threading
from typing import Any

from moto.dynamodb.models import DynamoDBBackend
from moto.ecr.models import Repository
from moto.server import main
from moto.ssm.responses import SimpleSystemManagerResponse

_one_at_a_time = threading.Lock()
_update_item, _make_repository = DynamoDBBackend.update_item, Repository.__init__


def update_item(*given: Any, **named: Any) -> Any:
    with _one_at_a_time:
        return _update_item(*given, **named)


def make_repository(repository: Repository, *given: Any, **named: Any) -> None:
    _make_repository(repository, *given, **named)
    if registry := os.environ.get("BEAMOPS_REGISTRY"):
        repository.uri = f"127.0.0.1:{registry}/{repository.name}"


def start_session(_: SimpleSystemManagerResponse) -> str:
    return json.dumps({"SessionId": "s", "TokenValue": "t", "StreamUrl": "wss://nowhere"})


def stand_in() -> None:
    for kind, name, method in (
        (DynamoDBBackend, "update_item", update_item),
        (Repository, "__init__", make_repository),
        (SimpleSystemManagerResponse, "start_session", start_session),
    ):
        setattr(kind, name, method)


if __name__ == "__main__":
    stand_in()
    main(sys.argv[1:])
