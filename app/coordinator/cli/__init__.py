"""The command line: `coordinator …`; tables for people, `--json` for programs.

Exit codes: 0 done, 1 refused by the coordinator, 2 wrong usage, 3 no coordinator or store answers.
"""

import asyncio
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from typer.exceptions import TyperException

from coordinator import contract
from coordinator.cli import admin, agent, dashboard, event, insight, report, team, work
from coordinator.cli.output import HOME, Json, Url, confirm, connect, show, stop
from coordinator.errors import CoordinatorError, StoreUnavailableError
from coordinator.model import LEASE_SECONDS_DEFAULT, ClaimRequest, Priority, Submission

app = typer.Typer(
    no_args_is_help=True,
    help="Work for a thousand agents, never given twice.",
    epilog="Exit codes: 0 done, 1 refused by the coordinator, 2 wrong usage, 3 no coordinator or store answers.",
    pretty_exceptions_enable=False,
)
app.add_typer(work.group, name="work")
app.add_typer(agent.group, name="agent")
app.add_typer(team.group, name="team")
app.add_typer(agent.lock, name="lock")
app.add_typer(report.group, name="report")
app.add_typer(insight.group, name="insight")
app.add_typer(event.group, name="event")
app.add_typer(admin.group, name="admin")


@app.command()
def serve() -> None:
    """Serve the API; settings come from COORDINATOR_… variables."""
    gc.disable()  # a third of a start was looking through what is imported; on again when it has started
    from coordinator import server  # noqa: PLC0415 - clients start without it

    server.serve(read_settings())


@app.command()
def migrate(
    example_work: Annotated[bool, typer.Option(help="Put a few work items into an empty store.")] = False,
    restored: Annotated[bool, typer.Option(help="It comes from a backup: no token given since is valid.")] = False,
    wait_seconds: Annotated[float, typer.Option(min=0, max=600, help="PostgreSQL may be away for so long.")] = 0,
) -> None:
    """Bring the store to the schema that this version needs."""
    from coordinator import example, schema, telemetry  # noqa: PLC0415
    from coordinator import restored as restoring  # noqa: PLC0415

    telemetry.configure_logs()
    settings = read_settings()
    schema.migrate(settings, wait_seconds)
    if restored:
        asyncio.run(restoring.settle(settings))
    if example_work:
        asyncio.run(example.submit_examples(settings))


@app.command()
def autoscale(
    service: Annotated[str, typer.Option(help="Whose replicas; its labels name the limits.")],
    prometheus: Annotated[str, typer.Option(help="Address of Prometheus.")],
    engine: Annotated[str, typer.Option(help="Address of the engine's proxy.")],
    ready_per_replica: Annotated[float, typer.Option(min=1, help="Ready work items that one replica may have.")],
    p95_ms: Annotated[float, typer.Option(min=1, help="Within how long 95 % of the answers are to come.")],
) -> None:
    """Let a service's replicas follow the load."""
    from coordinator import autoscaler, scaling  # noqa: PLC0415

    targets = scaling.Targets(ready_per_replica, p95_ms / 1000)
    _watch(autoscaler.create_app(service, targets, prometheus, engine))


Socket = Annotated[Path, typer.Option(help="The engine's socket.")]
SOCKET = Path(contract.ENGINE_SOCKET)


@app.command()
def engine_exporter(
    label: Annotated[str, typer.Option(help="Of the containers that are told of, `key=value`.")],
    socket: Socket = SOCKET,
) -> None:
    """Tell Prometheus what the engine runs, and what containers use."""
    from coordinator import engine_exporter as exporter  # noqa: PLC0415

    _watch(exporter.create_app(socket, label))


@app.command()
def engine_proxy(socket: Socket = SOCKET) -> None:
    """Let nothing through to the engine but the scaling of services that are labelled for it."""
    from coordinator import engine_proxy as proxy  # noqa: PLC0415

    _watch(proxy.create_app(socket))


def _watch(role: Any) -> None:
    """Run a role beside the coordinators, where their probe looks for it."""
    import uvicorn  # noqa: PLC0415

    from coordinator import telemetry  # noqa: PLC0415

    telemetry.configure_logs()
    host, port = os.environ.get(contract.HOST, "127.0.0.1"), int(os.environ.get("COORDINATOR_PORT", contract.PORT))
    uvicorn.run(role, host=host, port=port, access_log=False, log_config=None, server_header=False)


@app.command()
def claim(
    type: Annotated[str, typer.Argument(help="What kind of work it is.")],  # noqa: A002
    title: Annotated[str, typer.Argument()],
    agent: Annotated[str, typer.Option(help="Who claims.")],
    priority: Priority = Priority.MEDIUM,
    team: str | None = None,
    url: Url = HOME,
    as_json: Json = False,
) -> None:
    """Submit a work item and claim it at once."""
    with connect(url) as client:
        item = client.submit(Submission(type, title, priority=priority, team=team))
        work.show_claims(client.claim(ClaimRequest(agent, item.id, lease_seconds=LEASE_SECONDS_DEFAULT)), as_json)


app.command("dashboard")(dashboard.watch)


@app.command("help")
def list_commands() -> None:
    """List every command of every group."""
    for words, command in walk(typer.main.get_command(app)):
        typer.echo(f"{' '.join(words):26} {command.get_short_help_str(90)}")


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of a tree, with the words that run it."""
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, (*path, name))
    if not hasattr(command, "commands"):
        yield path, command


@app.command()
def status(url: Url = HOME, as_json: Json = False) -> None:
    """Say whether the coordinator is ready."""
    with connect(url) as client:
        client.get_text(contract.READY_PATH)
    confirm("ready", url, as_json)


@app.command()
def health(url: Url = HOME, as_json: Json = False) -> None:
    """Show the health score, 0 to 100, with each of its parts."""
    with connect(url) as client:
        found = client.get_health()
    rows = [
        (part.name, f"{part.value:g} {part.unit}", f"{part.good:g}", f"{part.bad:g}", part.weight, part.score)
        for part in found.parts
    ]
    rows.append(("health", "", "", "", "", found.score))
    show(found, as_json, ("part", "measured", "good", "bad", "weight", "score"), rows, "")


def main() -> None:
    """Run the command line; a refusal is one line on standard error."""
    from coordinator.client import Problem, UnreachableError  # noqa: PLC0415 - `serve` starts without httpx

    try:
        code = app(prog_name="coordinator", standalone_mode=False)
        raise SystemExit(code if isinstance(code, int) else 0)
    except typer.Abort:
        raise SystemExit(1) from None
    except TyperException as error:
        _refuse_usage(error)
    except Problem as problem:
        stop(f"{problem.code}: {problem}", 1)
    except UnreachableError as error:
        stop(f"{error}; `coordinator serve` starts one, --url or COORDINATOR_URL names another", 3)
    except StoreUnavailableError as error:
        stop(str(error), 3)
    except CoordinatorError as error:
        stop(f"{error.code}: {error}", 1)
    except (msgspec.ValidationError, ValueError) as error:
        stop(str(error), 2)


def _refuse_usage(error: Any) -> NoReturn:
    """One line for a wrong usage; where nothing was asked for, the help that then is the message."""
    message = error.format_message()
    if "\n" in message:
        error.show()
        raise SystemExit(2)
    asked = getattr(error, "ctx", None)
    where = asked.command_path if asked else "coordinator"
    stop(f"{message.rstrip('.')}; `{where} --help` tells what there is", 2)


def read_settings() -> Any:
    """The settings from the environment; wrong ones end the command with exit code 2."""
    from pydantic import ValidationError  # noqa: PLC0415

    from coordinator.settings import Settings  # noqa: PLC0415

    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(
            f"COORDINATOR_{str(fault['loc'][0]).upper()}: {fault['msg']}" if fault["loc"] else fault["msg"]
            for fault in error.errors()
        )
        stop(faults.replace("Value error, ", ""), 2)
