"""Tokens of a stack's coordinators: made here, made known there by their digest alone."""

import hashlib
import re
import secrets
import uuid
from typing import Final

import docker
from coordinator import contract

from cli.console import StopError
from cli.coordinators import run_coordinator
from components.engine import EngineError
from components.naming import Names

_ID: Final = re.compile(r"[0-9a-f]{32}")
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
    id_, secret = uuid.uuid4().hex, secrets.token_urlsafe(32)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    agent = ["--agent", name] if role == "agent" else []
    command = [*contract.REGISTER, f"{id_}:{digest}", name, "--role", role, *agent]
    try:
        run_coordinator(client, names, f"token-{id_[:8]}", command)
    except EngineError as error:
        raise StopError(f"no token was made: {' '.join(str(error).split())}") from None
    return f"{contract.TOKEN_PREFIX}{id_}.{secret}"


def revoke_token(client: docker.DockerClient, names: Names, token: str) -> None:
    """End a token, given whole or by its id: from a second later on it is shown in vain.

    Raises:
        StopError: it is no token, or none that the coordinators know.
    """
    id_ = token.removeprefix(contract.TOKEN_PREFIX).partition(".")[0]
    if not _ID.fullmatch(id_):
        raise StopError(f"which token? give TOKEN={contract.TOKEN_PREFIX}…, or its first 32 digits")
    try:
        run_coordinator(client, names, f"revoke-{id_[:8]}", [*contract.REVOKE, id_])
    except EngineError as error:
        raise StopError(f"the token was not revoked: {' '.join(str(error).split())}") from None
