"""Serving: from the first log line to the last request answered."""

import asyncio
import gc
import signal
import socket
from types import FrameType

import structlog
import uvicorn

from coordinator import schema, telemetry
from coordinator.api.app import Lifecycle, add_headers, create_app
from coordinator.settings import Settings

_log = structlog.get_logger()
_GRACE_SECONDS = 10
_KEEP_ALIVE_SECONDS = 75
"""Longer than agents pause between renewals, so that none meets a connection that is just being closed."""


class _DrainingServer(uvicorn.Server):
    """On SIGTERM goes on serving for a while, not ready any more, so that proxies look elsewhere first."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, seconds: float) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        # What was imported stays: looked through by the garbage collector it costs 80 ms, again and again.
        gc.collect()
        gc.freeze()
        gc.enable()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's form
        if self.should_exit:
            self.force_exit = True
        elif sig == signal.SIGTERM and not self._lifecycle.draining and self._loop is not None:
            self._lifecycle.draining = True
            self._loop.call_soon_threadsafe(self._loop.call_later, self._seconds, setattr, self, "should_exit", True)
            # After what matters: who reads the log may be gone, and writing it fail.
            _log.info("draining", seconds=self._seconds)
        else:
            self.should_exit = True


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; requests under way are answered first, for at most ten seconds.

    The embedded store is brought to this version's schema here; PostgreSQL only by `coordinator migrate`.
    """
    telemetry.configure_logs()
    telemetry.configure_traces()
    if settings.sqlite_path is not None:
        schema.migrate(settings)
    lifecycle = Lifecycle()
    config = uvicorn.Config(
        add_headers(create_app(settings, lifecycle), lifecycle),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    _log.info("starting", host=settings.host, port=settings.port, store=settings.database_url.partition(":")[0])
    _DrainingServer(config, lifecycle, settings.drain_seconds).run()
    _log.info("stopped")
