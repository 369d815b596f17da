"""What every command shares: the coordinator's address, and tables for people or JSON for programs."""

import json
import sys
from collections.abc import Iterable
from typing import Annotated, Any, Final, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from coordinator.contract import PORT

HOME: Final = f"http://127.0.0.1:{PORT}"
Url = Annotated[str, typer.Option("--url", envvar="COORDINATOR_URL", help="The coordinator's address.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Token = Annotated[int, typer.Option(help="The fencing token that the claim gave.")]
Lease = Annotated[int, typer.Option(min=1, max=3600, help="Seconds until the lease ends unless renewed.")]
Document = Annotated[str | None, typer.Option(help="A JSON document.")]


def connect(url: str) -> Any:
    """A client of the coordinator; its token comes from COORDINATOR_TOKEN."""
    from coordinator.client import Client  # noqa: PLC0415 - `serve` starts without httpx

    return Client(url)


def read_document(option: str, text: str | None) -> Any:
    """A JSON document from the command line; a wrong one ends the command with exit code 2."""
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        stop(f"{option} is not JSON: {error}", 2)


def stop(line: str, code: int) -> NoReturn:
    """End the command with one line on standard error."""
    sys.stderr.write(f"coordinator: {line}\n")
    raise SystemExit(code)


def print_json(value: Any) -> None:
    """JSON on standard output."""
    typer.echo(msgspec.json.encode(value))


def confirm(done: str, what: str, as_json: bool) -> None:
    """One line that says what was done, or JSON."""
    if as_json:
        print_json({done: what})
    else:
        typer.echo(f"{done} {what}")


def show(values: Any, as_json: bool, columns: Iterable[str], rows: Iterable[Iterable[Any]], empty: str) -> None:
    """A table, or the values as JSON."""
    if as_json:
        print_json(values)
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    if table.row_count:
        Console(width=None if sys.stdout.isatty() else 160).print(table)
    else:
        typer.echo(empty)
