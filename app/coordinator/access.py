"""Who may do what: tokens with roles."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from uuid_utils import uuid7

from coordinator.contract import TOKEN_PREFIX
from coordinator.errors import ForbiddenError, UnauthenticatedError, UnknownTokenError
from coordinator.store import Row, Transaction

_SECRET_BYTES: Final = 32


class Role(StrEnum):
    """What a token is for; each may do what those before it may."""

    VIEWER = "viewer"
    AGENT = "agent"
    OPERATOR = "operator"

    def includes(self, needed: "Role") -> bool:
        """Whether this role may do what `needed` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True)
class Caller:
    """Who asks: a role, and for an agent's token the one agent that it speaks for."""

    token: str
    role: Role
    agent: str | None = None

    def speak_for(self, agent: str | None) -> None:
        """Make sure that the caller may act as that agent.

        Raises:
            ForbiddenError: its token is another agent's.
        """
        if self.role is not Role.OPERATOR and self.agent is not None and agent not in {None, self.agent}:
            raise ForbiddenError(f"this token speaks for {self.agent}, not for {agent}")


ANYBODY: Final = Caller("", Role.OPERATOR)
"""The caller where no authentication is configured."""


async def create_token(transaction: Transaction, name: str, role: Role, agent: str | None) -> str:
    """Make a token; the answer is the only time that it can be read, since its digest alone is kept."""
    id_, secret = uuid7().hex, secrets.token_urlsafe(_SECRET_BYTES)
    await register_token(transaction, id_, _digest(secret), name, role, agent)
    return f"{TOKEN_PREFIX}{id_}.{secret}"


async def register_token(
    transaction: Transaction, id_: str, digest: str, name: str, role: Role, agent: str | None
) -> None:
    """Make a token known that was made elsewhere, and was never here."""
    await transaction.run("add_token", id=id_, name=name, role=role.value, agent=agent, digest=digest)


async def authenticate(transaction: Transaction, header: str | None) -> Caller:
    """Whose `Authorization` header that is.

    Raises:
        UnauthenticatedError: there is none, or its token is unknown or revoked.
    """
    scheme, _, token = (header or "").partition(" ")
    id_, _, secret = token.strip().removeprefix(TOKEN_PREFIX).partition(".")
    if header is None:
        raise UnauthenticatedError(
            "send `Authorization: Bearer <token>`; the command line has it from COORDINATOR_TOKEN"
        )
    if scheme.lower() != "bearer" or not secret:
        raise UnauthenticatedError("that is not a token; `coordinator admin create-token` makes them")
    row = await transaction.row("get_token", id=id_)
    # Compared also when there is none, so that an answer's time does not tell which ids exist.
    if not hmac.compare_digest(row["digest"] if row else _digest(""), _digest(secret)) or row is None:
        raise UnauthenticatedError("the token is unknown or revoked")
    return Caller(id_, Role(row["role"]), row["agent"])


async def list_tokens(transaction: Transaction) -> list[Row]:
    """All tokens, without anything that would let one be used."""
    return await transaction.rows("list_tokens")


async def revoke_token(transaction: Transaction, id_: str) -> None:
    """Make a token worth nothing.

    Raises:
        UnknownTokenError: no valid token has that id.
    """
    if await transaction.value("revoke_token", id=id_) is None:
        raise UnknownTokenError(f"there is no valid token {id_}")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
