"""One hardened swarm service: what every service here has in common, in one place.

Non-root, read-only root, no capability, limits and reservations, a health check, an update that rolls back
by itself, bounded logs, named networks and no more; endpoint mode dnsrr and host-mode ports everywhere, which
need no IPVS and keep the caller's address.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pulumi
import pulumi_docker as docker
from coordinator import contract

from components.chapter import Chapter
from components.settings import Environment

MIB: Final = 1024 * 1024
_CPU_UNITS: Final = 1_000_000_000


@dataclass(frozen=True)
class File:
    """A secret or config that appears as a file, readable by the service's user alone."""

    id: pulumi.Input[str]
    name: pulumi.Input[str]
    path: str


@dataclass(frozen=True)
class LogDriver:
    """Where the engine puts what a container says; bounded, whatever becomes of it."""

    name: str
    options: Mapping[str, str]


IN_FILES: Final = LogDriver("json-file", {"max-size": "10m", "max-file": "3"})


@dataclass(frozen=True)
class ServiceSpec:
    """What makes one service different from another."""

    name: str
    image: pulumi.Input[str]
    user: str
    command: Sequence[str]
    networks: Sequence[pulumi.Input[str]]
    health: Sequence[str]
    memory_mib: int
    cpus: float
    labels: Mapping[str, str]
    order: Literal["start-first", "stop-first"] = "start-first"
    pause_seconds: int = 0
    """Between one replica's update and the next one's."""
    replicas: int | None = 1
    """None: one on every node."""
    replicas_most: int | None = None
    """Something else moves the replicas, from `replicas` up to so many."""
    arguments: Sequence[str] = ()
    env: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    secrets: Sequence[File] = ()
    configs: Sequence[File] = ()
    volumes: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    memory_volumes: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Volumes of the user's own that hold no more than sockets: in memory, and on each node where it runs."""
    sockets: Sequence[str] = ()
    """Files of the node that appear at the same place."""
    groups: Sequence[str] = ()
    """Numbers of further groups of the user."""
    port: int | None = None
    constraints: Sequence[pulumi.Input[str]] = ()
    spread: str | None = None
    """A label of nodes over whose values the replicas are spread."""
    log_driver: LogDriver = IN_FILES
    stop_signal: str = "SIGTERM"
    stop_seconds: int = 30
    start_seconds: int = 60
    """How long it may be unhealthy after its start, if it has been healthy never yet.

    Three coordinators that start at once on machines that have just pulled them took half a minute."""


def service_args(spec: ServiceSpec) -> docker.ServiceArgs:
    """The provider's arguments for a service."""
    change: dict[str, Any] = {
        "parallelism": 1,
        "delay": write_duration(spec.pause_seconds),
        "order": spec.order,
        "monitor": "10s",
        "max_failure_ratio": "0",
    }
    memory = spec.memory_mib * MIB
    labels = dict(spec.labels)
    if spec.replicas_most is not None:
        labels |= {contract.MINIMUM_LABEL: str(spec.replicas), contract.MAXIMUM_LABEL: str(spec.replicas_most)}
    return docker.ServiceArgs(
        name=spec.name,
        labels=[docker.ServiceLabelArgs(label=key, value=value) for key, value in labels.items()],
        task_spec=docker.ServiceTaskSpecArgs(
            container_spec=_container(spec),
            networks_advanceds=[docker.ServiceTaskSpecNetworksAdvancedArgs(id=network) for network in spec.networks],
            resources=docker.ServiceTaskSpecResourcesArgs(
                limits=docker.ServiceTaskSpecResourcesLimitsArgs(
                    memory_bytes=memory, nano_cpus=int(spec.cpus * _CPU_UNITS)
                ),
                # Memory is promised whole, since what is missing kills; processor time is shared.
                reservation=docker.ServiceTaskSpecResourcesReservationArgs(
                    memory_bytes=memory, nano_cpus=_CPU_UNITS // 100
                ),
            ),
            restart_policy=docker.ServiceTaskSpecRestartPolicyArgs(condition="any", delay="1s", window="0s"),
            placement=docker.ServiceTaskSpecPlacementArgs(
                constraints=list(spec.constraints),
                prefs=[f"spread=node.labels.{spec.spread}"] if spec.spread else None,
            ),
            log_driver=docker.ServiceTaskSpecLogDriverArgs(
                name=spec.log_driver.name, options=dict(spec.log_driver.options)
            ),
        ),
        mode=docker.ServiceModeArgs(global_=True)
        if spec.replicas is None
        else docker.ServiceModeArgs(replicated=docker.ServiceModeReplicatedArgs(replicas=spec.replicas)),
        update_config=docker.ServiceUpdateConfigArgs(**change, failure_action="rollback"),
        rollback_config=docker.ServiceRollbackConfigArgs(**change, failure_action="pause"),
        endpoint_spec=docker.ServiceEndpointSpecArgs(
            mode="dnsrr",
            ports=[
                docker.ServiceEndpointSpecPortArgs(
                    target_port=spec.port, published_port=spec.port, protocol="tcp", publish_mode="host"
                )
            ]
            if spec.port
            else [],
        ),
        # The provider takes none for one on every node, whose number it does not know.
        # Replicas follow one another, and each may take its time to get healthy.
        converge_config=None if spec.replicas is None else docker.ServiceConvergeConfigArgs(delay="1s", timeout="5m"),
    )


def make_service(
    chapter: Chapter,
    part: str,
    *,
    depends_on: list[pulumi.Resource] | None = None,
    keep_image: bool = False,
    **values: Any,
) -> docker.Service:
    """A chapter's service; `values` are what a `ServiceSpec` has beside its name and labels.

    With `keep_image` one that is there goes on with the image that it has.
    """
    spec = ServiceSpec(name=chapter.names.of(part), labels=chapter.labels, **values)
    # The engine notes which platforms a registry's image is for: that is no change of ours.
    unasked = ["taskSpec.placement.platforms"]
    if spec.replicas_most is not None:
        unasked.append("mode.replicated.replicas")
    if keep_image:
        unasked.append("taskSpec.containerSpec.image")
    return docker.Service(part, service_args(spec), chapter.options(depends_on=depends_on, ignore_changes=unasked))


def make_config(chapter: Chapter, part: str, content: str, path: str, swarm: pulumi.Resource) -> File:
    """A swarm config that its services see as a file at that path; other content is another config."""
    config = docker.ServiceConfig(
        part,
        docker.ServiceConfigArgs(
            name=chapter.names.versioned(part, content),
            data_raw=content,
            labels=chapter.label(docker.ServiceConfigLabelArgs),
        ),
        # The new one is made first: the old one can go only when no service uses it any more.
        chapter.options(depends_on=[swarm], delete_before_replace=False),
    )
    return File(config.id, config.name, path)


def make_volume(chapter: Chapter, part: str) -> docker.Volume:
    """A volume with a chapter's name and labels; in prod nothing deletes it that was not told to."""
    protect = chapter.names.environment == Environment.PROD
    arguments = docker.VolumeArgs(name=chapter.names.of(part), labels=chapter.label(docker.VolumeLabelArgs))
    return docker.Volume(part, arguments, chapter.options(protect=protect))


def keep_data(chapter: Chapter, part: str, *, here: bool) -> pulumi.Input[str]:
    """The name of a volume on the node that keeps data; `here`, if the provider's engine is that node's."""
    # Another node makes its own when a container comes.
    return make_volume(chapter, part).name if here else chapter.names.of(part)


def memory_volume_options(user: str) -> docker.ServiceTaskSpecContainerSpecMountVolumeOptionsArgs:
    """A file system in memory that is the user's own, on whatever node the container comes to."""
    uid, _, gid = user.partition(":")
    return docker.ServiceTaskSpecContainerSpecMountVolumeOptionsArgs(
        driver_name="local",
        driver_options={"type": "tmpfs", "device": "tmpfs", "o": f"uid={uid},gid={gid},mode=0700,size=1m"},
        no_copy=True,
    )


def fetch(url: str) -> list[str]:
    """A health check: the address answers. By busybox, which every third-party image has."""
    return ["busybox", "wget", "-q", "-O", "/dev/null", url]


def write_duration(seconds: int) -> str:
    """A duration as the provider writes it back: written otherwise, every refresh would show a change."""
    minutes, rest = divmod(seconds, 60)
    return (f"{minutes}m" if minutes else "") + (f"{rest}s" if rest or not minutes else "")


def _container(spec: ServiceSpec) -> docker.ServiceTaskSpecContainerSpecArgs:
    uid, _, gid = spec.user.partition(":")
    mounts = [
        docker.ServiceTaskSpecContainerSpecMountArgs(type="volume", target=target, source=source)
        for target, source in spec.volumes.items()
    ]
    mounts += [
        docker.ServiceTaskSpecContainerSpecMountArgs(
            type="volume", target=target, source=source, volume_options=memory_volume_options(spec.user)
        )
        for target, source in spec.memory_volumes.items()
    ]
    mounts += [
        docker.ServiceTaskSpecContainerSpecMountArgs(type="bind", target=path, source=path, read_only=True)
        for path in spec.sockets
    ]
    return docker.ServiceTaskSpecContainerSpecArgs(
        image=spec.image,
        user=spec.user,
        groups=list(spec.groups) or None,
        commands=list(spec.command),
        args=list(spec.arguments),
        env=dict(spec.env),
        labels=[docker.ServiceTaskSpecContainerSpecLabelArgs(label=k, value=v) for k, v in spec.labels.items()],
        read_only=True,
        cap_drops=["ALL"],
        init=True,
        mounts=mounts,
        secrets=[
            docker.ServiceTaskSpecContainerSpecSecretArgs(
                secret_id=file.id, secret_name=file.name, file_name=file.path,
                file_uid=uid, file_gid=gid, file_mode=0o400,
            )
            for file in spec.secrets
        ],
        configs=[
            docker.ServiceTaskSpecContainerSpecConfigArgs(
                config_id=file.id, config_name=file.name, file_name=file.path,
                file_uid=uid, file_gid=gid, file_mode=0o400,
            )
            for file in spec.configs
        ],
        stop_signal=spec.stop_signal,
        stop_grace_period=write_duration(spec.stop_seconds),
        healthcheck=docker.ServiceTaskSpecContainerSpecHealthcheckArgs(
            tests=["CMD", *spec.health],
            # Shorter ones restart healthy containers on a busy machine.
            interval="2s",
            timeout="10s",
            retries=3,
            start_period=write_duration(spec.start_seconds),
        ),
    )  # fmt: skip
