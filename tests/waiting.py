"""Waiting for what comes about by itself."""

import time
from collections.abc import Callable


def wait_until(
    what: str, seconds: float, condition: Callable[[], object], meanwhile: tuple[type[Exception], ...] = ()
) -> float:
    """Seconds that it took; `what` is said when it never holds. Errors of the kinds in `meanwhile` mean: not yet."""
    begin = time.monotonic()
    while True:
        try:
            if condition():
                return time.monotonic() - begin
        except meanwhile:
            pass
        assert time.monotonic() < begin + seconds, f"after {seconds:.0f} s: {what}"
        time.sleep(0.1)
