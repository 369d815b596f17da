"""The container's health check: asks the coordinator beside it, with as few imports as can be."""

import http.client
import os
import sys

from coordinator.contract import LIVE_PATH, PORT


def main() -> int:
    """0 when the coordinator answers that it is alive, else 1 with the reason on standard error."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("COORDINATOR_PORT", PORT)), timeout=5)
        connection.request("GET", LIVE_PATH)
        response = connection.getresponse()
        if response.status == http.HTTPStatus.OK:
            return 0
        print(response.read().decode(errors="replace"), file=sys.stderr)  # noqa: T201 - the engine keeps it
    except OSError as error:
        print(error, file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
