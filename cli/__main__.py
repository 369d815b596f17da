"""`make up|preview|down|status|logs|images`: sets up what is missing, then does it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import docker
import requests
import typer
from coordinator import contract
from rich.table import Table

from cli.alerts import show_alerts
from cli.backups import back_up, restore
from cli.commands import interrupts_left_to_child
from cli.comment import render_markdown
from cli.console import StopError, console, fail, redirected
from cli.coordinators import switch_colour
from cli.doctor import Account, report
from cli.emulator import ensure_emulator, find_emulator, stop_emulator
from cli.engine import ensure_engine, stop_engine
from cli.github import publish, report_drift
from cli.images import choose_source, ensure_images
from cli.lock import lock as lock_requirements
from cli.places import made
from cli.release import release
from cli.review import read_events, render_json
from cli.stack import Stack, load_settings, swarm_host
from cli.tokens import make_token, revoke_token
from cli.toolchain import add_stand_in, check_aws_plugin, ensure_toolchain
from cli.trace import show_trace
from cli.watching import Watchers
from components import reference
from components.aws.account import check_account
from components.containers import ROOT
from components.engine import EngineError, connect, engine_host, inspect_engine
from components.naming import STACK_LABEL, Names
from components.proxy import GRAFANA_PATH
from components.settings import Environment, SettingsError
from policies import reference as policies

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
_HOME = f"http://127.0.0.1:{contract.PORT}"
_Name = Annotated[str, typer.Option(help="dev, staging or prod.")]


class Aws(StrEnum):
    """Which AWS."""

    ACCOUNT = "account"
    EMULATED = "emulated"


class Form(StrEnum):
    """How a preview is told."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


_Allowed = Annotated[str, typer.Option(help="Names of what keeps data and may be deleted or replaced, this once.")]
_Aws = Annotated[Aws, typer.Option(help="A real account, or one that is emulated on this machine.")]


@app.command()
def up(stack: _Name = "dev", aws: _Aws = Aws.ACCOUNT, allow_delete: _Allowed = "") -> None:
    """Deploy a stack, and say how to use it."""
    deployed = _open(stack, aws)
    deployed.allow(frozenset(allow_delete.split()))
    deployed.up()
    _summarise(stack, aws, deployed.outputs())


@app.command()
def deploy(
    stack: _Name = "dev",
    aws: _Aws = Aws.ACCOUNT,
    plan: Annotated[Path | None, typer.Option(help="The plan that was reviewed; nothing else is done.")] = None,
) -> None:
    """Deploy, try it out, and put the services back to what they were if it does not do."""
    if plan is not None and not plan.is_file():
        raise StopError(f"{plan}: there is no such plan; `make preview FORMAT=markdown PLAN={plan}` writes one")
    deployed = _open(stack, aws)

    def put() -> str:
        deployed.up(plan)
        return str(deployed.outputs()["url"])

    release(
        deployed.swarm,
        deployed.names,
        put,
        authenticated=stack != Environment.DEV,
        switched_from=deployed.switches_from(),
    )
    _summarise(stack, aws, deployed.outputs())


@app.command()
def preview(
    stack: _Name = "dev",
    aws: _Aws = Aws.ACCOUNT,
    form: Annotated[Form, typer.Option("--format", help="For a terminal, a pull request, or a program.")] = Form.TEXT,
    allow_delete: _Allowed = "",
    output: Annotated[Path | None, typer.Option(help="A file for what is written.")] = None,
    plan: Annotated[Path | None, typer.Option(help="A file for the plan, which `deploy` is held to.")] = None,
    *,
    drift: Annotated[bool, typer.Option(help="Look first at what is there.")] = False,
) -> None:
    """Show what `up` would change; ends with an error when it may not be deployed."""
    if form == Form.TEXT and plan is not None:
        raise StopError("a plan goes with a preview that is kept: add FORMAT=markdown or FORMAT=json")
    if form == Form.TEXT:
        _open(stack, aws).preview()
        return
    for file in (output, plan):
        if file is not None:
            made(file.parent)
    with redirected():
        opened = _open(stack, aws)
    review = read_events(
        stack, opened.review(drift=drift, plan=plan), opened.exemptions, frozenset(allow_delete.split())
    )
    rendered = render_markdown(review) if form == Form.MARKDOWN else render_json(review) + "\n"
    if output is None:
        sys.stdout.write(rendered)
    else:
        output.write_text(rendered)
    if review.blocked:
        raise StopError("\n".join(f"not to be deployed: {' '.join(line.split())}" for line in review.blocked))


@app.command()
def down(stack: _Name = "dev", aws: _Aws = Aws.ACCOUNT) -> None:
    """Destroy a stack: what it made goes, and its data with it."""
    _open(stack, aws, images=False).destroy()
    if aws == Aws.EMULATED:
        stop_emulator(stack)


@app.command()
def images(stack: _Name = "dev") -> None:
    """Make the images that others are built on."""
    settings = load_settings(stack)
    ensure_engine(settings.development.engine)
    ensure_images(settings, choose_source(settings))


@app.command()
def comment(folder: Path, number: int) -> None:
    """Tell a pull request what the previews in a folder say: one comment, updated in place."""
    console.print(publish(folder, number))


@app.command()
def drift(folder: Path) -> None:
    """Tell in one issue what the previews in a folder found to have drifted; close it when nothing has."""
    console.print(report_drift(folder))


@app.command()
def doctor(stack: _Name = "dev", aws: _Aws = Aws.ACCOUNT) -> None:
    """Say whether what a stack has on AWS is healthy."""
    if stack == Environment.DEV:
        raise StopError("dev has nothing on AWS; `make status` shows its services")
    settings = load_settings(stack, emulated=True)
    emulator = find_emulator(stack)
    if aws == Aws.EMULATED and emulator is None:
        raise StopError(f"no emulated account of {stack} is open; `make up STACK={stack} AWS=emulated` opens one")
    endpoint = emulator.endpoint if emulator is not None and aws == Aws.EMULATED else None
    account = Account(Names(settings.plan.name, stack), settings.network.region, endpoint)
    report(account.examine(), emulated=endpoint is not None)


@app.command()
def token(
    name: Annotated[str, typer.Argument(help="What the token is for.")],
    role: Annotated[str, typer.Argument(help="viewer, agent or operator.")],
    stack: _Name = "dev",
    aws: _Aws = Aws.ACCOUNT,
) -> None:
    """Make a token of a stack's coordinators, and print it: it cannot be read again."""
    with _connect(stack, aws) as (client, names):
        _services(client, names)
        sys.stdout.write(f"{make_token(client, names, name, role)}\n")


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(help="Whole, or its id alone.")],
    stack: _Name = "dev",
    aws: _Aws = Aws.ACCOUNT,
) -> None:
    """End a token of a stack's coordinators."""
    with _connect(stack, aws) as (client, names):
        _services(client, names)
        revoke_token(client, names, token)
    console.print("revoked")


@app.command(context_settings={"ignore_unknown_options": True})
def with_engine(command: list[str]) -> None:
    """Run a command with all that tests stand on; an engine that had to be started is stopped again."""
    settings = load_settings("dev")
    started = ensure_engine(settings.development.engine)
    try:
        ensure_toolchain()
        ensure_images(settings, choose_source(settings))
        with interrupts_left_to_child():
            done = subprocess.run(command, check=False)
    finally:
        if started:
            stop_engine()
    raise SystemExit(done.returncode)


@app.command()
def lock() -> None:
    """Resolve the lock files anew."""
    lock_requirements()


@app.command()
def docs() -> None:
    """Write the pages that are made from the code."""
    from components.observability.dashboards.rendering import DASHBOARDS, render_dashboard  # noqa: PLC0415 - nobody else

    (ROOT / "docs" / "configuration.md").write_text(reference.render_page())
    (ROOT / "docs" / "settings.schema.json").write_text(reference.render_schema())
    (ROOT / "docs" / "policies.md").write_text(policies.render_page())
    for dashboard in DASHBOARDS:
        (ROOT / "docs" / "dashboards" / f"{dashboard.name}.json").write_text(render_dashboard(dashboard))


@app.command()
def status(stack: _Name = "dev", aws: _Aws = Aws.ACCOUNT) -> None:
    """Show the services of a stack."""
    table = Table("service", "running", "wanted", "image", "last change", box=None)
    with _connect(stack, aws) as (client, names):
        for service in _services(client, names):
            tasks = service.tasks()
            running = sum(task["Status"]["State"] == "running" for task in tasks)
            spec = service.attrs["Spec"]
            wanted = spec["Mode"].get("Replicated", {}).get("Replicas", "")
            update = service.attrs.get("UpdateStatus", {})
            table.add_row(
                service.name, str(running), str(wanted),
                _short(spec["TaskTemplate"]["ContainerSpec"]["Image"]), update.get("State", "created"),
            )  # fmt: skip
    console.print(table)


@app.command()
def logs(
    stack: _Name = "dev", aws: _Aws = Aws.ACCOUNT, tail: Annotated[int, typer.Option(min=1, max=10_000)] = 50
) -> None:
    """Show the last lines that each service of a stack logged."""
    with _connect(stack, aws) as (client, names):
        for service in _services(client, names):
            said = b"".join(service.logs(stdout=True, stderr=True, tail=tail)).decode(errors="replace")
            for line in said.splitlines():
                console.print(f"[cyan]{service.name}[/] ", end="")
                console.print(line, markup=False)


@app.command()
def backup(
    stack: _Name = "dev",
    aws: _Aws = Aws.ACCOUNT,
    file: Annotated[Path | None, typer.Option(help="Where to; into the folder of data when not given.")] = None,
) -> None:
    """Write a stack's store into a file."""
    with _connect_database(stack, aws) as (client, host, names):
        back_up(client, host, names, file)


@app.command("restore")
def restore_backup(file: Path, stack: _Name = "dev", aws: _Aws = Aws.ACCOUNT) -> None:
    """Make a stack's store what a backup holds."""
    with _connect_database(stack, aws) as (client, host, names):
        restore(client, host, names, file)
        coordinator = load_settings(stack, emulated=aws == Aws.EMULATED).distribution.coordinator
        if coordinator.release == "blue-green":
            # The backup's colour may be another one than today's.
            switch_colour(client, names, coordinator.active)


@app.command()
def alerts(stack: _Name = "dev", aws: _Aws = Aws.ACCOUNT) -> None:
    """Say what is wrong now, by the rules, and what to do."""
    with _watchers(stack, aws) as watchers:
        show_alerts(watchers)


@app.command()
def grafana(stack: _Name = "dev", aws: _Aws = Aws.ACCOUNT) -> None:
    """Say where a stack's Grafana is, and print the password of its user `admin`."""
    outputs = _open(stack, aws, images=False).outputs("--show-secrets")
    password = outputs.get("grafana_password")
    if password is None:
        raise StopError(
            f"{stack} has no Grafana; set beamops:monitoring.grafana in Pulumi.{stack}.yaml, and pull images: "
            "it cannot be built"
        )
    console.print(f"{outputs['url']}{GRAFANA_PATH}/ [dim](user admin, password on the next line)[/]")
    sys.stdout.write(f"{password}\n")


@app.command()
def trace(
    trace: Annotated[str, typer.Argument(help="Its id, 32 hexadecimal digits.")],
    stack: _Name = "dev",
    aws: _Aws = Aws.ACCOUNT,
) -> None:
    """Show a trace: its spans, and the log lines that belong to it."""
    with _watchers(stack, aws) as watchers:
        show_trace(watchers, trace)


def _short(image: str) -> str:
    name, _, digest = image.partition("@")[0].partition(":")
    return f"{name.rpartition('/')[2]}:{digest[:12]}"


def _find_swarm(stack: str, aws: Aws) -> tuple[str, Names]:
    emulated = aws == Aws.EMULATED
    settings = load_settings(stack, emulated=emulated)
    return swarm_host(stack, settings, emulated=emulated), Names(settings.plan.name, stack)


@contextmanager
def _connect(stack: str, aws: Aws) -> Iterator[tuple[docker.DockerClient, Names]]:
    host, names = _find_swarm(stack, aws)
    with connect(host) as client:
        yield client, names


@contextmanager
def _watchers(stack: str, aws: Aws) -> Iterator[Watchers]:
    host, names = _find_swarm(stack, aws)
    with connect(host) as client:
        _services(client, names)
        yield Watchers(client, host, names)


@contextmanager
def _connect_database(stack: str, aws: Aws) -> Iterator[tuple[docker.DockerClient, str, Names]]:
    host, names = _find_swarm(stack, aws)
    if stack != Environment.DEV and aws == Aws.ACCOUNT:
        raise StopError(f"{stack}'s database is RDS, which keeps backups itself; docs/operating.md says how to go back")
    with connect(host) as client:
        yield client, host, names


def _services(client: docker.DockerClient, names: Names) -> list[Any]:
    manager = client.info()["Swarm"]["ControlAvailable"]
    found = client.services.list(filters={"label": f"{STACK_LABEL}={names.stack}"}) if manager else []
    if not found:
        stack = names.environment
        raise StopError(f"nothing of {stack} runs; `make up STACK={stack}` deploys it")
    return sorted(found, key=lambda service: str(service.name))


def _open(stack: str, aws: Aws, *, images: bool = True) -> Stack:
    settings = load_settings(stack, emulated=aws == Aws.EMULATED)
    ensure_engine(settings.development.engine)
    on_account = stack != Environment.DEV and aws == Aws.ACCOUNT
    if on_account:
        engine = inspect_engine(engine_host(settings.development.engine))
        check_account(settings.production, settings.network.region, engine, changes=False)
    source = choose_source(settings)
    toolchain = ensure_toolchain()
    if on_account:
        check_aws_plugin(toolchain)
    if images:
        ensure_images(settings, source)
    emulator = None
    if aws == Aws.EMULATED:
        toolchain = add_stand_in(toolchain)
        emulator = ensure_emulator(stack, settings.production, settings.network.region)
    return Stack(stack, settings, toolchain, swarm_host(stack, settings, emulated=aws == Aws.EMULATED), emulator)


def _summarise(stack: str, aws: Aws, outputs: dict[str, Any]) -> None:
    console.print(
        f"\n[bold green]{stack} is up:[/] {outputs['url']} [dim](web page; the API describes itself at /schema)[/]"
    )
    for name, image in outputs["images"].items():
        console.print(f"  [dim]{name:<12} {image}[/]")
    url = "" if outputs["url"] == _HOME else f" --url {outputs['url']}"
    which = "" if stack == "dev" else f" STACK={stack}{' AWS=emulated' if aws == Aws.EMULATED else ''}"
    claim = f".venv/bin/coordinator work claim --agent ada{url}"
    if "cloud" in outputs:
        claim = f"export COORDINATOR_TOKEN=$(make -s token NAME=ada ROLE=agent{which})\n  {claim}"
    console.print(f"\nClaim a first work item:\n  [bold]{claim}[/]")
    if "cloud" in outputs:
        console.print(f"  [dim]on AWS ({aws})  {outputs['cloud']['url']} · {outputs['cloud']['repository']}[/]")
    console.print(f"\nmake status · make logs · make down{f'   ({which.strip()})' if which else ''}")


def main() -> None:
    """Run a command; what goes wrong for a reason is said in a line, with exit code 1."""
    try:
        app()
    except (StopError, SettingsError, EngineError) as error:
        fail(error)
        raise SystemExit(1) from None
    except (docker.errors.DockerException, requests.RequestException) as error:
        fail(StopError(f"the engine refused: {' '.join(str(error).split())}"))
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
