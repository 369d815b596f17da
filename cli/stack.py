"""One stack through Pulumi: its state, its passphrase, its settings, and repair of what a cut-off run left."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import docker
import requests
import yaml

from cli.commands import interrupts_left_to_child
from cli.console import StopError, console
from cli.emulator import Emulator, furnish_emulator
from cli.places import data_folder, made, stack_file
from cli.state import PROJECT, find_locks, mend_state, passphrase_file
from cli.toolchain import Toolchain
from components.aws.session import end_session, ensure_key, is_session, session_host
from components.colours import RELEASED_VARIABLE, Released, find_released
from components.containers import ROOT
from components.engine import EngineError, connect, engine_host
from components.naming import STACK_LABEL, Names
from components.settings import (
    ENDPOINT_VARIABLE,
    NAMESPACE,
    Environment,
    ExemptionSettings,
    PoliciesSettings,
    Settings,
    SettingsError,
    read_environment,
    read_settings,
)

_UNENCRYPTED: Final = ("app", "data", "edge")
_WHY_UNENCRYPTED: Final = "AWS=emulated: all services are on one engine, and nothing leaves it"
_ON_SWARM: Final = {
    "docker:index/service:Service": "services",
    "docker:index/network:Network": "networks",
    "docker:index/secret:Secret": "secrets",
    "docker:index/serviceConfig:ServiceConfig": "configs",
}
"""What swarms hold, and how Docker's SDK calls it."""
_LOCKED: Final = "currently locked"
"""What Pulumi says of a stack that another run holds."""
_AT_WORK: Final = "another run is at work on this stack: wait for its end, or, if it is gone, `pulumi cancel` its lock"
_END_SECONDS: Final = 30
"""Beyond the time that a service has to stop in."""
_CLOSED: Final = (
    "docker:index/",
    "pulumi-python:dynamic/docker:",
    "pulumi-python:dynamic/aws:ReadyNodes",
    "aws:secretsmanager/secretVersion:",
    "aws:ssm/parameter:",
)
"""What the role that can change nothing may not look at, by a piece of its URN: sessions, secrets, parameters."""
POLICIES: Final = ROOT / "policies"


def load_settings(stack: str, *, emulated: bool = False) -> Settings:
    """The stack file, checked, before anything slow begins.

    Raises:
        SettingsError: one line a fault.
    """
    read_environment(stack, emulated=emulated)
    file = stack_file(stack)
    try:
        content = yaml.safe_load(file.read_text()) or {}
    except FileNotFoundError:
        raise SettingsError([f"{file}: there is no such file"]) from None
    except yaml.YAMLError as error:
        raise SettingsError([f"{file.name}: not YAML: {' '.join(str(error).split())}"]) from None
    config = content.get("config") if isinstance(content, dict) else None
    if not isinstance(config or {}, dict):
        raise SettingsError([f"{file.name}: config: given {json.dumps(config)}, should be keys and values"])
    return read_settings(
        stack, {str(key): json.dumps(value) for key, value in (config or {}).items()}, emulated=emulated
    )


def swarm_host(stack: str, settings: Settings, *, emulated: bool) -> str:
    """Where the stack's services run: the engine here, or machines of AWS."""
    if stack == Environment.DEV or emulated:
        return engine_host(settings.development.engine)
    return session_host(Names(settings.plan.name, stack).stack, settings.network.region)


class Stack:
    """A stack that Pulumi can work on."""

    def __init__(
        self, name: str, settings: Settings, toolchain: Toolchain, swarm: str, emulator: Emulator | None = None
    ) -> None:
        self.name = name
        self._settings = settings
        self._emulator = emulator
        self._folder = made(data_folder() / "emulated", 0o700) if emulator else data_folder()
        self.names = Names(settings.plan.name, name)
        self._toolchain = toolchain
        self.swarm = swarm
        self._environment = {
            **os.environ,
            **toolchain.environment,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_EXPERIMENTAL": "true",  # `up --plan`
            "PULUMI_BACKEND_URL": f"file://{made(self._folder / 'state', 0o700)}",
        }
        if emulator is not None:
            self._environment[ENDPOINT_VARIABLE] = emulator.endpoint
        elif configured := os.environ.get("PULUMI_BACKEND_URL"):
            self._environment["PULUMI_BACKEND_URL"] = configured
        if not {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & set(os.environ):
            self._environment["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(passphrase_file())
        mend_state(self._environment["PULUMI_BACKEND_URL"])
        self._may_be_pending = True
        self._config = self._select()
        self._released = Released()
        if settings.distribution.coordinator.release == "blue-green":
            self._released = self._find_released()
            self._environment[RELEASED_VARIABLE] = json.dumps(asdict(self._released))

    def up(self, plan: Path | None = None) -> None:
        """Deploy: what the settings say now, or a plan that was reviewed, and nothing else.

        Raises:
            StopError: Pulumi does not end well, or what is to be done is not what was planned.
        """
        self._repair()
        # A plan is of what was there then: looking anew could find something else to do.
        how = ["--refresh"] if plan is None else ["--plan", str(plan.resolve())]
        self._work("up", "--yes", "--skip-preview", "--suppress-outputs", "--policy-pack", str(POLICIES), *how)

    def preview(self) -> None:
        """Show what `up` would change."""
        self._work("preview", "--diff", "--policy-pack", str(POLICIES))

    @property
    def exemptions(self) -> tuple[ExemptionSettings, ...]:
        """Those of the stack file, and those that an emulated account needs."""
        config = yaml.safe_load(self._config.read_text()).get("config") or {}
        return tuple(PoliciesSettings.model_validate(config.get(f"{NAMESPACE}:policies", {})).exemptions)

    def review(self, *, drift: bool, plan: Path | None = None) -> list[str]:
        """The engine's events of a preview, a line of JSON each.

        Args:
            drift: look at what is there first.
            plan: a file for the plan, which `up` can be held to; secrets in it are encrypted as in the state.
        """
        arguments = ["preview", "--json", "--stack", self.name, "--config-file", str(self._config)]
        arguments += ["--policy-pack", str(POLICIES)]
        if drift:
            arguments.append("--refresh")
            if is_session(self.swarm):
                arguments += [part for kind in _CLOSED for part in ("--exclude", f"**{kind}**")]
        arguments += ["--save-plan", str(plan.resolve())] if plan else []
        with self._session(), interrupts_left_to_child():
            done = subprocess.run(
                [str(self._toolchain.program), *arguments],
                cwd=ROOT, env={**self._environment, "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
        lines = done.stdout.splitlines()
        if not any('"summaryEvent"' in line for line in lines):
            raise StopError(_explain(done.stderr or done.stdout[-2000:]))
        return lines

    def allow(self, names: frozenset[str]) -> None:
        """Let these resources be deleted or replaced once: they are no longer protected; `up` protects them again."""
        if not names:
            return
        for resource in self._list_resources():
            if resource["urn"].rpartition("::")[2] in names and resource.get("protect"):
                self._ask("state", "unprotect", resource["urn"], "--yes", "--stack", self.name)

    def destroy(self) -> None:
        """Take everything down that the stack made."""
        self._repair()
        if self._emulator is not None:
            # What nobody can lose need not be kept from being lost.
            self._ask("state", "unprotect", "--all", "--yes", "--stack", self.name)
        self._work("destroy", "--yes", "--skip-preview", "--refresh")

    def outputs(self, *flags: str) -> dict[str, Any]:
        """What the last `up` gave; empty when nothing is deployed. With `--show-secrets` secrets too."""
        answer = self._ask("stack", "output", "--json", *flags, "--stack", self.name)
        outputs: dict[str, Any] = json.loads(answer or "{}")
        return outputs

    def switches_from(self) -> str | None:
        """The colour that serves, where `up` would let the other one."""
        before, active = self._released.active, self._settings.distribution.coordinator.active
        return before if before != active else None

    def _find_released(self) -> Released:
        """Which versions of the coordinator the state knows of, and which of them serves."""
        return find_released(self._list_resources())

    def _list_resources(self) -> list[dict[str, Any]]:
        """What the state knows of; secrets in it stay encrypted."""
        resources: list[dict[str, Any]] = self._export()["deployment"].get("resources", [])
        return resources

    def _export(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self._ask("stack", "export", "--stack", self.name))
        return {**state, "deployment": state["deployment"] or {}}

    def _work(self, command: str, *flags: str) -> None:
        arguments = [
            str(self._toolchain.program), command, "--stack", self.name, "--config-file", str(self._config), *flags
        ]  # fmt: skip
        # A file and no pipe: what outlives a Pulumi that was killed would keep that open.
        with tempfile.TemporaryFile("w+") as complaints:
            with self._session(), interrupts_left_to_child():
                done = subprocess.run(arguments, cwd=ROOT, env=self._environment, stderr=complaints, check=False)
            complaints.seek(0)
            sys.stderr.write(said := complaints.read())
        if done.returncode:
            # What another run makes is not noted down yet either.
            if command != "preview" and _LOCKED not in said:
                # Where the engine does not answer either, what it did not tell of is in the way for one run more.
                with suppress(StopError, EngineError, docker.errors.DockerException, requests.RequestException):
                    resources = self._list_resources()
                    if any(one["type"] in _ON_SWARM for one in resources):
                        self._remove_unnoted(resources)
            raise StopError(
                f"`pulumi {command}` of {self.name} did not end well; what it says is above. "
                f"Nothing is lost: mend the cause and run it again, it goes on from there"
            )

    @contextmanager
    def _session(self) -> Iterator[None]:
        """A run with a connection to the machines of its own, where there are any."""
        if not is_session(self.swarm):
            yield
            return
        ensure_key()
        end_session(self.swarm)
        try:
            yield
        finally:
            end_session(self.swarm)

    def _ask(self, *arguments: str, folder: Path = ROOT, given: str | None = None) -> str:
        done = subprocess.run(
            [str(self._toolchain.program), *arguments, "--non-interactive"],
            cwd=folder, env=self._environment, input=given, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise StopError(_explain(done.stderr))
        return done.stdout

    def _select(self) -> Path:
        """Select or create the stack; give the file of its settings with the salt of its encryption.

        Pulumi writes the salt of a passphrase into the stack file, which would change a file of the checkout for
        everybody's own passphrase. It is kept beside the state instead.
        """
        own = stack_file(self.name)
        content = yaml.safe_load(own.read_text()) or {}
        if self._emulator is not None:
            content = {"config": _for_this_machine(content.get("config") or {})}
        if {"encryptionsalt", "secretsprovider"} & set(content):
            self._ask("stack", "select", self.name, "--create")
            return own
        folder = made(self._folder / "stacks" / self.names.stack, 0o700)
        salted = folder / f"Pulumi.{self.name}.yaml"
        (folder / "Pulumi.yaml").write_text(f"name: {PROJECT}\nruntime: python\n")
        export = ("stack", "export", "--show-secrets", "--stack", self.name)
        try:
            exported = self._ask(*export, folder=folder)
        except StopError:
            self._ask("stack", "select", self.name, "--create", folder=folder)
            exported = self._ask(*export, folder=folder)
        kept = yaml.safe_load(salted.read_text()) if salted.exists() else {}
        state = json.loads(exported)
        self._may_be_pending = bool((state["deployment"] or {}).get("pending_operations"))
        provider = (state["deployment"] or {}).get("secrets_providers", {}).get("state", {})
        salt = provider.get("salt") or (kept or {}).get("encryptionsalt")
        salted.write_text(yaml.safe_dump({**content, **({"encryptionsalt": salt} if salt else {})}))
        return salted

    def _repair(self) -> None:
        """Make good what a run that was cut off left: its lock, and what it was making and did not note down."""
        held, left = find_locks(self._environment["PULUMI_BACKEND_URL"], self.name)
        if left:
            console.print("! An earlier run was cut off: its lock is removed.")
            self._ask("cancel", "--yes", "--stack", self.name)
        elif held:
            raise StopError(_AT_WORK)
        if not self._may_be_pending:
            return
        state = self._export()
        pending = state["deployment"].get("pending_operations") or []
        if not pending:
            return
        console.print(f"! An earlier run was cut off in {len(pending)} operations: they are done anew.")
        if self._emulator is not None and any(one["resource"]["type"].startswith("aws:") for one in pending):
            console.print("! The emulated account may hold what was not noted down: it is emptied and filled anew.")
            furnish_emulator(self._emulator, self._settings.production, self._settings.network.region, anew=True)
        state["deployment"]["pending_operations"] = []
        # Refused where another run holds the lock, and so before anything is removed.
        self._ask("stack", "import", "--stack", self.name, "--force", given=json.dumps(state))
        if any(operation["type"] == "creating" for operation in pending):
            self._remove_unnoted(state["deployment"].get("resources", []))

    def _remove_unnoted(self, resources: list[dict[str, Any]]) -> None:
        """Remove what the swarm has of the stack and its state has not: a run was cut off, or an answer was lost.

        Its name would be in the way of every run to come. Never a volume, whose creation may be repeated without harm.

        Args:
            resources: what the state knows of.
        """
        known = {one.get("id") for one in resources}
        with connect(self.swarm) as client:
            if not client.info()["Swarm"]["ControlAvailable"]:
                return
            for kind in _ON_SWARM.values():
                for found in getattr(client, kind).list(filters={"label": f"{STACK_LABEL}={self.names.stack}"}):
                    if found.id in known or _is_job(found.attrs):
                        continue
                    console.print(f"! {found.name} was made and not noted down: it is removed.")
                    with suppress(docker.errors.APIError):
                        found.remove()
                        if kind == "services":
                            _await_end(client, found)


def _is_job(attributes: dict[str, Any]) -> bool:
    """Whether it is a service that ends by itself, and is removed by whoever made it."""
    task = attributes.get("Spec", {}).get("TaskTemplate", {})
    return bool(task.get("RestartPolicy", {}).get("Condition") == "none")


def _await_end(client: docker.DockerClient, service: Any) -> None:
    """Until the tasks of a removed service have gone: theirs are a port and a data folder, which have one holder."""
    grace = service.attrs["Spec"]["TaskTemplate"]["ContainerSpec"].get("StopGracePeriod", 0) / 1_000_000_000
    end = time.monotonic() + grace + _END_SECONDS
    while any(task["ServiceID"] == service.id for task in client.api.tasks()):
        if time.monotonic() > end:
            raise StopError(
                f"containers of {service.name} do not end; `docker ps` shows them. End them, and run it again"
            )
        time.sleep(0.2)


def _for_this_machine(config: dict[str, Any]) -> dict[str, Any]:
    """The settings of an emulated stack: what neither this machine nor the emulator can do is off, and said to be."""
    for chapter, name, why in (
        ("network", "encrypted_overlays", "all services are on this one engine"),
        ("production", "bake_image", "the emulator bakes none"),
    ):
        key = f"{NAMESPACE}:{chapter}"
        console.print(f"! AWS=emulated: {key}.{name} is set to false; {why}.")
        config = {**config, key: {**config.get(key, {}), name: False}}
    key = f"{NAMESPACE}:policies"
    listed = config.get(key, {}).get("exemptions", [])
    watched = (config.get(f"{NAMESPACE}:monitoring") or {}).get("enabled")
    emulated = [
        {"rule": "overlays-encrypted", "resource": network, "reason": _WHY_UNENCRYPTED, "expires": "9999-12-31"}
        for network in (*_UNENCRYPTED, *(("observability", "engine") if watched else ()))
    ]
    return {**config, key: {"exemptions": [*listed, *emulated]}}


def _explain(error: str) -> str:
    if "incorrect passphrase" in error or "passphrase must be set" in error:
        return (
            "the passphrase is not the one that the stack's secrets were encrypted with; "
            "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE to the right one"
        )
    if _LOCKED in error:
        return _AT_WORK
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    return "; ".join(line.removeprefix("error: ") for line in lines) or "pulumi failed and said nothing"
