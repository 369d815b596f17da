"""Typed settings: one model a chapter, a stack file checked whole before anything is registered.

Defaults live here; a stack file holds only what makes its environment different. docs/configuration.md
and docs/settings.schema.json are generated from these models.
"""

import json
import os
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from components.aws.settings import AutoscalingSettings, Model, NetworkSettings, PipelineSettings, ProductionSettings

NAMESPACE: Final = "beamops"
IMAGES_VARIABLE: Final = "BEAMOPS_IMAGES"
WEBHOOK_VARIABLE: Final = "BEAMOPS_WEBHOOK"
HEARTBEAT_VARIABLE: Final = "BEAMOPS_HEARTBEAT"
ENDPOINT_VARIABLE: Final = "BEAMOPS_AWS_ENDPOINT"
"""Address of an emulated AWS API, where there is one: `make up AWS=emulated` sets it."""
STACK_FILE_VARIABLE: Final = "BEAMOPS_STACK_FILE"
"""Names another file than Pulumi.<stack>.yaml."""
_ONLY_DEV: Final = {"development"}
_ONLY_AWS: Final = {"network", "pipeline", "production", "autoscaling"}
_BY_ENVIRONMENT: Final = (
    (IMAGES_VARIABLE, "containers", "source"),
    (WEBHOOK_VARIABLE, "monitoring", "webhook"),
    (HEARTBEAT_VARIABLE, "monitoring", "heartbeat"),
)
_NOT_SHOWN: Final = (
    "monitoring.grafana: given true, which machines of an account cannot have: the load balancer would show its door "
    "to the world; AWS=emulated can"
)
_UNWATCHED: Final = "instrumentation.collector: given true, and needs who watches it: set monitoring.enabled"
_PROVIDERS: Final = {"aws", "docker", "random", "pulumi"}


class Environment(StrEnum):
    """The three environments; a stack is named after its own."""

    DEV = "dev"
    STAGING = "staging"
    PROD = "prod"


class SettingsError(Exception):
    """A stack file that cannot be used; one line a fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class PlanSettings(Model):
    """Chapter 1: names, and what the engine must have to spare."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,19}$")] = Field(
        "beamops", description="First part of every name that the stack makes: lower case, at most 20 characters."
    )
    reserved_memory_mib: int = Field(
        512, ge=0, description="Memory of the engine's machine that the plan must leave free, in MiB."
    )
    owner: str = Field(
        "platform", pattern=r"^[A-Za-z0-9@._-]{1,64}$", description="Tag of everything on AWS: whose it is."
    )
    monthly_budget_usd: int = Field(
        500, ge=1, description="AWS budget of the stack; alerts at 80 % and when it is forecast."
    )
    alert_email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")] | None = Field(
        None,
        description="Who is told at 80 % of the budget, when its end is forecast, and what fires; prod must have it.",
    )
    free_disk_mib: int = Field(2048, ge=0, description="Disk that must be free where the engine keeps images, in MiB.")


class ContainersSettings(Model):
    """Chapter 3: where images come from."""

    source: Literal["pull", "build"] = Field(
        "pull",
        description="Third-party images: `pull` from their registry, or `build` from images/ where no registry "
        f"answers. The environment variable {IMAGES_VARIABLE} overrides it.",
    )


class DevelopmentSettings(Model):
    """Chapter 5: the local engine, and something to try."""

    engine: str | None = Field(
        None,
        pattern=r"^(unix|tcp|ssh)://.+$",
        description="Address of the Docker Engine; DOCKER_HOST or the local socket when not set.",
    )
    advertise_address: str = Field(
        "127.0.0.1", description="Address under which a swarm that this stack initialises knows its one node."
    )
    example_work: bool = Field(default=True, description="Put a few work items into an empty store, to try things on.")


class SecretsSettings(Model):
    """Chapter 7: versions of generated secrets; a higher number makes a new secret and retires the old one."""

    database_password_version: int = Field(1, ge=1, description="Raise it to rotate the database password.")


class ExemptionSettings(Model):
    """One rule that need not hold of one resource."""

    rule: str = Field(description="Name of the rule, as docs/policies.md lists it.")
    resource: str = Field(description="Name of the resource, as the preview shows it.")
    reason: str = Field(min_length=15, description="Why, for whoever reviews it.")
    expires: str = Field(description="Last day, YYYY-MM-DD: after it every preview fails.")

    @field_validator("expires")
    @classmethod
    def _is_day(cls, expires: str) -> str:
        try:
            date.fromisoformat(expires)
        except ValueError:
            raise ValueError("should be a day, YYYY-MM-DD") from None
        return expires


class PoliciesSettings(Model):
    """Rules of policies/ that need not hold here."""

    exemptions: list[ExemptionSettings] = Field(
        default_factory=list, description="Each with its reason and its last day; the preview lists them."
    )


class AutoscaleSettings(Model):
    """Replicas of the coordinator that follow the load, from `replicas` upwards; needs monitoring."""

    maximum: int | None = Field(
        None, ge=2, le=12, description="The most replicas; when it is not set, there are always as many as `replicas`."
    )
    ready_per_replica: int = Field(50, ge=1, description="Ready work items that one replica may have.")
    p95_ms: int = Field(100, ge=1, description="Within how long 95 % of the answers to agents are to come.")


class CoordinatorSettings(Model):
    """The coordinator's service."""

    replicas: int = Field(
        2, ge=1, le=12, description="Coordinators that serve at the same time; with blue-green, of each colour."
    )
    memory_mib: int = Field(256, ge=128, le=4096, description="Memory limit of one coordinator, in MiB.")
    cpus: float = Field(1.0, gt=0, le=16, description="CPU limit of one coordinator, in cores.")
    drain_seconds: int = Field(
        3, ge=1, le=60, description="How long an ending coordinator serves on while the proxy looks elsewhere."
    )
    release: Literal["rolling", "blue-green"] = Field(
        "rolling",
        description="How a new version comes: in the place of the old one, replica by replica, or beside it, as the "
        "colour that stands by until it is made the active one.",
    )
    active: Literal["blue", "green"] = Field(
        "blue", description="With blue-green: the colour that serves. Another one here, and `make up`, is the switch."
    )
    autoscale: AutoscaleSettings = Field(
        default_factory=AutoscaleSettings, description="Replicas that follow the load; `replicas` are then the fewest."
    )


class DatabaseSettings(Model):
    """PostgreSQL's service."""

    memory_mib: int = Field(512, ge=256, le=65536, description="Memory limit of PostgreSQL, in MiB.")
    cpus: float = Field(1.0, gt=0, le=64, description="CPU limit of PostgreSQL, in cores.")


class ProxySettings(Model):
    """The proxy's service."""

    port: int = Field(4000, ge=1024, le=65535, description="Port of each node on which the proxy listens.")
    memory_mib: int = Field(128, ge=64, le=4096, description="Memory limit of the proxy, in MiB.")
    cpus: float = Field(0.5, gt=0, le=16, description="CPU limit of the proxy, in cores.")


class DistributionSettings(Model):
    """Chapter 9: what runs, how often and how large."""

    coordinator: CoordinatorSettings = Field(default_factory=CoordinatorSettings, description="The coordinator.")
    database: DatabaseSettings = Field(default_factory=DatabaseSettings, description="PostgreSQL.")
    proxy: ProxySettings = Field(default_factory=ProxySettings, description="The proxy.")


class InstrumentationSettings(Model):
    """Chapter 11: log lines and traces; needs monitoring."""

    collector: bool = Field(
        default=False,
        description="Collect the log lines of every service and the traces of the coordinator, and keep them.",
    )
    retention_days: int = Field(7, ge=1, le=400, description="How long log lines are kept, in days.")
    storage_mib: int = Field(1024, ge=64, le=1048576, description="Disk for log lines; two days stay whatever it is.")
    traces: int = Field(
        5000, ge=100, le=20_000, description="Traces that are kept, the newest, in memory; of some ten spans each."
    )


Address = Annotated[str, Field(pattern=r"^https?://\S+$")]


class MonitoringSettings(Model):
    """Chapters 11 and 12: who is asked for metrics, how long they are kept, who is told."""

    enabled: bool = Field(default=False, description="Watch the stack: metrics, rules, alerts.")
    retention_days: int = Field(15, ge=1, le=400, description="How long metrics are kept, in days.")
    storage_mib: int = Field(2048, ge=256, le=1048576, description="Disk that metrics may take, in MiB: the oldest go.")
    memory_mib: int = Field(256, ge=128, le=65536, description="Memory limit of Prometheus, in MiB.")
    grafana: bool = Field(
        default=False,
        description="Grafana, at /grafana of the proxy; only where images are pulled, since it cannot be built, and "
        "not on machines of an account.",
    )
    webhook: Address | None = Field(
        None,
        description="Where alerts are posted, as Alertmanager's webhooks are; without it `make alerts` alone shows "
        f"them. An address that must not stand in a file goes into the environment variable {WEBHOOK_VARIABLE}.",
    )
    heartbeat: Address | None = Field(
        None,
        description="Where the watchdog is posted each minute: whoever watches from outside tells when it no longer "
        f"comes. {HEARTBEAT_VARIABLE} keeps it out of the file.",
    )


class Settings(Model):
    """A whole stack file: one key a chapter, each written `beamops:<chapter>`."""

    plan: PlanSettings = Field(default_factory=PlanSettings, description="Names and budget.")
    network: NetworkSettings = Field(default_factory=NetworkSettings, description="VPC, in staging and prod.")
    containers: ContainersSettings = Field(default_factory=ContainersSettings, description="Images.")
    pipeline: PipelineSettings = Field(default_factory=PipelineSettings, description="GitHub, in staging and prod.")
    development: DevelopmentSettings = Field(default_factory=DevelopmentSettings, description="The local engine.")
    production: ProductionSettings = Field(default_factory=ProductionSettings, description="Machines, on AWS.")
    secrets: SecretsSettings = Field(default_factory=SecretsSettings, description="Versions of secrets.")
    distribution: DistributionSettings = Field(default_factory=DistributionSettings, description="Services.")
    autoscaling: AutoscalingSettings = Field(default_factory=AutoscalingSettings, description="Nodes, on AWS.")
    instrumentation: InstrumentationSettings = Field(
        default_factory=InstrumentationSettings, description="Log lines and traces."
    )
    monitoring: MonitoringSettings = Field(
        default_factory=MonitoringSettings, description="Metrics, rules, and who is told."
    )
    policies: PoliciesSettings = Field(default_factory=PoliciesSettings, description="Exemptions from rules.")


def read_environment(stack: str, *, emulated: bool) -> Environment:
    """The environment that a stack is for; `emulated` when AWS is.

    Raises:
        SettingsError: there is no such environment, or it cannot be deployed so.
    """
    if stack not in set(Environment):
        raise SettingsError([f"stack {stack}: there is no such environment; use one of {', '.join(Environment)}"])
    if stack == Environment.DEV and emulated:
        raise SettingsError(["stack dev: has nothing on AWS to emulate; leave AWS=emulated out"])
    return Environment(stack)


def read_settings(stack: str, config: Mapping[str, str], *, emulated: bool = False) -> Settings:
    """Check a stack's whole configuration and give it typed.

    Args:
        stack: the stack's name, for the messages.
        config: full keys (`beamops:plan`) and values as the engine gives them: JSON for what is structured.
        emulated: whether AWS is.

    Raises:
        SettingsError: with one line a fault: file, key path, what was given, what is allowed.
    """
    file = Path(os.environ.get(STACK_FILE_VARIABLE, f"Pulumi.{stack}.yaml")).name
    faults = []
    given: dict[str, Any] = {}
    for key, value in sorted(config.items()):
        namespace, _, name = key.partition(":")
        if namespace == NAMESPACE:
            given[name] = _parse(value)
        elif namespace not in _PROVIDERS:
            faults.append(f"{file}: {key}: unknown namespace {namespace!r}; settings are written {NAMESPACE}:<chapter>")
    absent = _ONLY_AWS if stack == Environment.DEV else _ONLY_DEV
    faults += [f"{file}: {NAMESPACE}:{name}: {stack} has no such chapter" for name in sorted(absent & set(given))]
    for variable, chapter, key in _BY_ENVIRONMENT:
        # A pipeline sets what it has not as nothing.
        if os.environ.get(variable) and isinstance(given.setdefault(chapter, {}), dict):
            given[chapter] = {**given[chapter], key: os.environ[variable]}
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        faults += [_describe(file, fault) for fault in error.errors()]
    else:
        faults += [f"{file}: {NAMESPACE}:{fault}" for fault in _check_environment(stack, settings)]
        faults += [f"{file}: {NAMESPACE}:{fault}" for fault in _check_coordinator(settings)]
        on_machines = stack != Environment.DEV and not emulated
        faults += [f"{file}: {NAMESPACE}:{fault}" for fault in _check_monitoring(settings, on_machines=on_machines)]
    if faults:
        raise SettingsError(faults)
    return settings


def _check_coordinator(settings: Settings) -> list[str]:
    coordinator, faults = settings.distribution.coordinator, []
    maximum, path = coordinator.autoscale.maximum, "distribution.coordinator"
    if coordinator.release == "rolling" and coordinator.active != "blue":
        faults.append(
            f"{path}.active: given {coordinator.active}, and with release: rolling there are no colours; leave it out"
        )
    if maximum is None:
        return faults
    path = f"{path}.autoscale.maximum: given {maximum}"
    if coordinator.release == "blue-green":
        faults.append(f"{path}, and with release: blue-green the number is fixed; leave one of them out")
    if maximum <= coordinator.replicas:
        faults.append(f"{path}, should be more than the {coordinator.replicas} replicas that there always are")
    if not settings.monitoring.enabled:
        faults.append(f"{path}, and the load is read from Prometheus: set monitoring.enabled")
    return faults


def _check_monitoring(settings: Settings, *, on_machines: bool) -> list[str]:
    faults = []
    if settings.instrumentation.collector and not settings.monitoring.enabled:
        faults.append(_UNWATCHED)
    if settings.monitoring.grafana and not settings.monitoring.enabled:
        faults.append("monitoring.grafana: given true, and there is nothing to show: set monitoring.enabled")
    if settings.monitoring.grafana and on_machines:
        faults.append(_NOT_SHOWN)
    return faults


def _check_environment(stack: str, settings: Settings) -> list[str]:
    """What an environment must have beyond what each value may be: one line a fault, from the key path on."""
    faults = []
    production, region = settings.production, settings.network.region
    if stack != Environment.DEV:
        arn = production.certificate_arn
        if arn is not None and arn.split(":")[3] != region:
            faults.append(
                f"production.certificate_arn: the certificate is of {arn.split(':')[3]}, the stack of {region}"
            )
        if arn is None and (production.domain is None or production.hosted_zone is None):
            faults.append("production.certificate_arn: not given; give it, or domain and hosted_zone to have one made")
        if production.managers > 1 and settings.autoscaling.minimum == 0:
            faults.append("autoscaling.minimum: given 0, and several managers run nothing that serves: give 1 at least")
    if stack == Environment.PROD:
        database = production.database
        needs = {
            "production.managers: given {0}, prod needs 3 at least, one a zone": (production.managers, 3),
            "network.zones: given {0} zones, prod needs 3": (len(settings.network.zones), 3),
            "production.database.backup_days: given {0}, prod needs 7 at least": (database.backup_days, 7),
        }
        faults += [fault.format(given) for fault, (given, least) in needs.items() if given < least]
        if not database.deletion_protection:
            faults.append("production.database.deletion_protection: given false, prod needs true")
        if not database.multi_zone:
            faults.append("production.database.multi_zone: given false, prod needs true")
        if settings.plan.alert_email is None:
            faults.append("plan.alert_email: not given; prod needs somebody who is told")
    if production.managers > 1 and production.managers < len(settings.network.zones) and stack == Environment.PROD:
        faults.append(
            f"production.managers: given {production.managers}, fewer than the {len(settings.network.zones)} zones"
        )
    return faults


def _parse(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _describe(file: str, fault: ErrorDetails) -> str:
    said = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    for variable, *loc in _BY_ENVIRONMENT:
        if list(fault["loc"]) == loc and os.environ.get(variable):
            # Without the value: it is there and not in the file because nobody may read it.
            return f"{variable}: the value {said.removeprefix('String ')}"
    return f"{file}: {_describe_key(fault, said)}"


def _describe_key(fault: ErrorDetails, message: str) -> str:
    path = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = sorted(_model_at(fault["loc"][:-1]).model_fields)
        return f"{NAMESPACE}:{path}: unknown key; allowed here: {', '.join(known)}"
    if fault["type"] == "model_type":
        message = f"should be a group of keys: {', '.join(sorted(_model_at(fault['loc']).model_fields))}"
    return f"{NAMESPACE}:{path}: given {json.dumps(fault['input'])}, {message}"


def _model_at(path: tuple[int | str, ...]) -> type[BaseModel]:
    model: type[BaseModel] = Settings
    for part in path:
        annotation = model.model_fields[str(part)].annotation
        model = next(kind for kind in (*get_args(annotation), annotation) if kind not in {None, NoneType})
    return model
