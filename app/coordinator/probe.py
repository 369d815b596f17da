"""The container's health check: asks the coordinator beside it, with as few imports as can be."""

import http.client
import os
import sys
import time

from coordinator.contract import LIVE_PATH, PORT

_PATIENCE_SECONDS = 5
"""One that is starting is waited for: an engine that hears no asks again no sooner than after two seconds."""
_PAUSE_SECONDS = 0.1


def main() -> int:
    """0 when the coordinator answers in time that it is alive, else 1 with the reason on standard error."""
    port = int(os.environ.get("COORDINATOR_PORT", PORT))
    end = time.monotonic() + _PATIENCE_SECONDS
    reason = "it does not answer"
    while (left := end - time.monotonic()) > 0:
        try:
            alive, reason = _ask(port, left)
            if alive:
                return 0
        except TimeoutError:
            pass  # what it said before tells more
        except (OSError, http.client.HTTPException) as error:
            reason = str(error)
        time.sleep(_PAUSE_SECONDS)
    print(reason, file=sys.stderr)  # noqa: T201 - the engine keeps it
    return 1


def _ask(port: int, seconds: float) -> tuple[bool, str]:
    """Whether it is alive, and what it says."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", LIVE_PATH)
        response = connection.getresponse()
        return response.status == http.HTTPStatus.OK, response.read().decode(errors="replace")
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
