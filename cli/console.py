"""What a person sees: steps with their time, one line for what went wrong."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

console = Console(highlight=False, soft_wrap=True)


class StopError(Exception):
    """The run ends here; the message says in one line what is wrong and what to do."""


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    begin = time.monotonic()
    console.print(f"[bold]·[/] {what} …")
    yield
    console.print(f"[green]✓[/] {what} [dim]({time.monotonic() - begin:.1f} s)[/]")


@contextmanager
def redirected() -> Iterator[None]:
    """What is said goes to standard error: standard output is for what was asked for."""
    console.stderr = True
    try:
        yield
    finally:
        console.stderr = False


def fail(error: Exception) -> None:
    """Print each line of an error on standard error, marked as such."""
    for line in str(error).splitlines():
        sys.stderr.write(f"beamops: {line}\n")
