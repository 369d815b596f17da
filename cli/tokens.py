"""Tokens of a stack's coordinators: made here, made known there by their digest alone."""

import hashlib
import secrets
import uuid
from typing import Any, Final

import docker
from coordinator import contract

from cli.console import StopError
from components.engine import EngineError, find_services
from components.naming import Names
from components.resources import run_job

_ROLES: Final = ("viewer", "agent", "operator")


def make_token(client: docker.DockerClient, names: Names, name: str, role: str) -> str:
    """Make a token; an agent's speaks for the agent of its name.

    A job with the coordinator's own settings puts its digest into the store: the token itself is in no argument, no
    environment and no log.

    Raises:
        StopError: there is no such role, or no coordinator to do it.
    """
    if role not in _ROLES:
        raise StopError(f"there is no role {role}; use one of {', '.join(_ROLES)}")
    found = find_services(client, names.of("coordinator"))
    if not found:
        raise StopError(f"no coordinator of {names.environment} runs; `make up STACK={names.environment}` deploys it")
    id_, secret = uuid.uuid4().hex, secrets.token_urlsafe(32)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    agent = ["--agent", name] if role == "agent" else []
    template: dict[str, Any] = found[0].attrs["Spec"]["TaskTemplate"]
    template["ContainerSpec"] |= {"Command": [*contract.REGISTER, f"{id_}:{digest}", name, "--role", role, *agent]}
    template["ContainerSpec"].pop("Healthcheck", None)
    job = names.of(f"token-{id_[:8]}")
    try:
        run_job(client, template, job, names.labels("secrets"), networks=template.pop("Networks"))
    except EngineError as error:
        raise StopError(f"no token was made: {' '.join(str(error).split())}") from None
    return f"{contract.TOKEN_PREFIX}{id_}.{secret}"
