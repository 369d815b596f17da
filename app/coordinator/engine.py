"""The Docker Engine behind its socket: what the two roles that hold one have in common."""

from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx
from litestar.exceptions import HTTPException

_CONNECTIONS: Final = 8


class EngineAwayError(HTTPException):
    """The engine does not answer, or not as it should."""

    status_code = HTTPStatus.BAD_GATEWAY


class Engine:
    """Asked by its own API."""

    def __init__(self, socket: Path, timeout_seconds: float) -> None:
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket), limits=httpx.Limits(max_connections=_CONNECTIONS)),
            base_url="http://engine",
            timeout=timeout_seconds,
        )

    async def close(self) -> None:
        """Let its connections go."""
        await self._client.aclose()

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Its answer, whatever that is.

        Raises:
            EngineAwayError: there is none.
        """
        try:
            return await self._client.request(method, path, **more)
        except httpx.HTTPError as error:
            raise EngineAwayError(f"the engine does not answer: {error or type(error).__name__}") from error

    async def ping(self) -> dict[str, str]:
        """Make sure that it answers: a page for health checks.

        Raises:
            EngineAwayError: it does not.
        """
        answer = await self.ask("GET", "/_ping")
        if answer.is_error:
            raise EngineAwayError(f"the engine answers {answer.status_code}")
        return {"status": "alive"}
