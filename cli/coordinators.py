"""Commands of the coordinator's own, run once on the swarm with the settings that its service has."""

from collections.abc import Callable
from typing import Any

import docker
from coordinator import contract

from cli.console import StopError
from components.colours import PARTS, SWITCH
from components.engine import find_container, find_services, run_in
from components.naming import Names
from components.resources import run_job


def run_coordinator(
    client: docker.DockerClient,
    names: Names,
    part: str,
    command: list[str],
    change: Callable[[str], str] = lambda value: value,
    **more: Any,
) -> None:
    """Run a command of the coordinator to its end.

    Args:
        client: of a manager.
        names: of the stack.
        part: what the job is called.
        command: what it runs.
        change: what becomes of each `NAME=value` of the service's environment.
        more: further arguments of the job.

    Raises:
        StopError: there is no coordinator whose settings these could be.
        EngineError: it did not succeed.
    """
    found = [service for part in PARTS.values() for service in find_services(client, names.of(part))]
    if not found:
        stack = names.environment
        raise StopError(f"no coordinator of {stack} runs; `make up STACK={stack}` deploys it")
    newest = max(found, key=lambda service: _schema_of(client, service)) if len(found) > 1 else found[0]
    template: dict[str, Any] = newest.attrs["Spec"]["TaskTemplate"]
    container = template["ContainerSpec"]
    container |= {"Command": command, "Env": [change(one) for one in container["Env"]]}
    container.pop("Healthcheck", None)
    run_job(client, template, names.of(part), names.labels("distribution"), networks=template.pop("Networks"), **more)


def switch_colour(client: docker.DockerClient, names: Names, colour: str) -> None:
    """Let a colour serve, beside the job of the stack that does so when the stack file says it.

    Raises:
        StopError: there is no coordinator.
        EngineError: none of that colour runs.
    """
    run_coordinator(client, names, SWITCH, [*contract.SWITCH, colour])


def _schema_of(client: docker.DockerClient, service: Any) -> str:
    """The schema that a version brings the store to; of two that run, the newer one's commands fit both."""
    container = find_container(client, service.name)
    if container is None:
        return ""
    ask = "from coordinator.schema import required_version; print(required_version())"
    code, said, _ = run_in(container, ["python3", "-c", ask])
    return said.decode().strip() if code == 0 else ""
