"""The API against its own description: whatever is sent, no fault of ours comes back, and no stack trace."""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from coordinator.access import Role
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import response_schema_conformance

from tests.servers import embed, make_token, serve

EXAMPLES = int(os.environ.get("EXAMPLES", "10"))
"""Requests a route, of each kind of caller."""


@pytest.fixture(scope="module", params=["nobody", "viewer", "agent", "operator", "no authentication"])
def caller(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    """The address of a coordinator, and who asks: without a token, with one of each role, where none is needed."""
    folder = tmp_path_factory.mktemp("api")
    store = {**embed(folder), "COORDINATOR_RATE_LIMIT": "100000/second"}
    headers = {}
    if request.param in [*Role]:
        token = make_token(store, request.param, "ada" if request.param == Role.AGENT else None)
        headers = {"Authorization": f"Bearer {token}"}
    authenticate = "false" if request.param == "no authentication" else "true"
    with serve({**store, "COORDINATOR_AUTHENTICATE": authenticate}, folder / "log") as url:
        yield url, headers


def test_no_request_meets_a_fault_of_ours(caller: tuple[str, dict[str, str]]) -> None:
    url, headers = caller
    description = httpx.get(f"{url}/schema/openapi.json").json()
    # It never ends by itself; tests/integration/test_events.py follows it.
    del description["paths"]["/v1/events/stream"]
    schema = schemathesis.openapi.from_dict(description)
    answered: Counter[int] = Counter()
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()

        @hypothesis_settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(GenerationMode.POSITIVE) | operation.as_strategy(GenerationMode.NEGATIVE))
        def check(case: Any) -> None:
            if isinstance(case.body, dict):
                case.body.pop("wait_seconds", None)  # nothing here is worth waiting for
            answer = case.call(base_url=url, headers=headers, timeout=30)
            case.validate_response(answer, checks=[not_a_server_error, response_schema_conformance])
            if answer.status_code >= 400:
                problem = answer.json()
                assert answer.headers["content-type"] == ["application/problem+json"], answer.headers
                assert problem["code"] and problem["status"] == answer.status_code
            assert "Traceback" not in answer.text
            answered[answer.status_code] += 1

        check()
    print(f"{sum(answered.values())} requests: {dict(sorted(answered.items()))}")
    assert sum(answered.values()) > 5 * len(description["paths"])
