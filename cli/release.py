"""A release: the reviewed plan, carried out; a smoke test; and the services as they were, when that fails."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import docker

from cli.console import StopError, console, step
from cli.coordinators import switch_colour
from cli.tokens import make_token
from components.engine import connect
from components.naming import STACK_LABEL, Names

_AGENT: Final = "smoke-test"
_TIMEOUT_SECONDS: Final = 30
_ATTEMPTS: Final = 3
"""Somebody else may change the service between the look at it and the change."""


def try_out(url: str, token: str | None) -> None:
    """Do what agents do, with the command line that they have: submit a work item, claim it, complete it.

    Raises:
        StopError: one of these did not succeed; says which, and what was answered.
    """
    environment = {**os.environ, "COORDINATOR_URL": url, **({"COORDINATOR_TOKEN": token} if token else {})}

    def coordinator(*arguments: str) -> Any:
        command = [str(Path(sys.executable).parent / "coordinator"), "work", *arguments, "--json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            said = " ".join(done.stderr.split()) or done.stdout[-300:]
            raise StopError(f"smoke test: `coordinator work {arguments[0]}` did not succeed: {said}")
        return json.loads(done.stdout)

    # A team that nobody is in: no agent takes the item away.
    team = f"{_AGENT}-{secrets.token_hex(4)}"
    (submitted,) = coordinator("submit", _AGENT, "Smoke test of a release", "--team", team)
    item = submitted["id"]
    (claim,) = coordinator("claim", "--agent", _AGENT, "--id", item)
    coordinator("complete", item, "--token", str(claim["token"]))
    if (status := coordinator("show", item)["status"]) != "completed":
        raise StopError(f"smoke test: {item} was completed, and is {status}")


def note_services(client: docker.DockerClient, names: Names) -> dict[str, Any]:
    """What each service of the stack is to run; empty where there is no swarm yet."""
    if not client.info()["Swarm"]["ControlAvailable"]:
        return {}
    found = client.services.list(filters={"label": f"{STACK_LABEL}={names.stack}"})
    return {service.name: service.attrs["Spec"]["TaskTemplate"] for service in found}


def roll_back(client: docker.DockerClient, names: Names, before: Mapping[str, Any]) -> list[str]:
    """Set each service that has changed since to what it ran before; gives their names.

    The number of its replicas stays. Not by the engine's own roll back: what it goes back to is whatever was there
    before the last change, and that may have been one of the number alone.

    Raises:
        StopError: the engine refuses: what a service ran on, such as a config, is gone.
    """
    changed = []
    for service in client.services.list(filters={"label": f"{STACK_LABEL}={names.stack}"}):
        if service.name in before and service.attrs["Spec"]["TaskTemplate"] != before[service.name]:
            _set_back(client, service, before[service.name])
            changed.append(service.name)
    return changed


def _set_back(client: docker.DockerClient, service: Any, template: Any) -> None:
    # Docker's SDK for Python takes no specification as the engine tells it; the engine's API does.
    url = f"{client.api.base_url}/v{client.api.api_version}/services/{service.id}/update"
    for _ in range(_ATTEMPTS):
        service.reload()
        spec = {**service.attrs["Spec"], "TaskTemplate": template}
        version = {"version": service.attrs["Version"]["Index"]}
        answer = client.api.post(url, json=spec, params=version, timeout=_TIMEOUT_SECONDS)
        if answer.ok:
            return
    raise StopError(f"{service.name} cannot be set back: {' '.join(answer.text.split())}; `git revert` and deploy")


def release(
    swarm: str, names: Names, deploy: Callable[[], str], *, authenticated: bool, switched_from: str | None = None
) -> None:
    """Deploy, try, and put the services back if it does not do.

    Args:
        swarm: where its engine is.
        names: the stack's.
        deploy: deploys, and gives the address to try.
        authenticated: whether the coordinators ask for tokens.
        switched_from: the colour that served before, where another one is to serve now.

    Raises:
        StopError: the release did not do; says what was put back.
    """
    with connect(swarm) as client:
        before = note_services(client, names)
    url = deploy()
    try:
        with step("Smoke test"):
            token = None
            if authenticated:
                with connect(swarm) as client:
                    token = make_token(client, names, _AGENT, "operator")
            try_out(url, token)
    except Exception:
        with connect(swarm) as client:
            back = roll_back(client, names, before)
            if switched_from is not None:
                switch_colour(client, names, switched_from)
                console.print(f"! {switched_from} serves again: make it the active one in the stack file.")
        put = f"{', '.join(back)} run again what they ran before" if back else "no service had changed"
        console.print(f"! The release does not do: {put}.")
        raise
