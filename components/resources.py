"""What the Docker provider has no resource for: a swarm, a node's labels, a job that runs once.

Each is a dynamic provider: the engine calls it in a process of its own, with plain dictionaries.
"""

import time
from typing import Any, Final

import docker
import pulumi
import requests
from docker.types import (
    ConfigReference,
    ContainerSpec,
    NetworkAttachmentConfig,
    Placement,
    Resources,
    RestartPolicy,
    SecretReference,
    ServiceMode,
    TaskTemplate,
)
from pulumi import dynamic

from components.engine import EngineError, connect, find_services
from components.naming import STACK_LABEL

_SETTLED: Final = {"complete", "failed", "rejected", "orphaned", "shutdown", "remove"}
_ATTEMPTS: Final = 3
_GATEWAY_LABEL: Final = "beamops.gateway"
_GATEWAY: Final = "docker_gwbridge"
"""The bridge by which tasks leave the swarm: the engine makes it with the first swarm, and keeps it."""


class _SwarmProvider(dynamic.ResourceProvider):
    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        with connect(props["host"]) as client:
            # What was found is said by the swarm's own labels: a run that is cut off right here forgets nothing.
            if client.info()["Swarm"]["LocalNodeState"] != "active":
                gateway = "found" if client.networks.list(names=[_GATEWAY]) else "made"
                client.swarm.init(
                    advertise_addr=props["advertise_address"],
                    listen_addr="127.0.0.1:2377",
                    labels={STACK_LABEL: props["stack"], _GATEWAY_LABEL: gateway},
                )
            swarm = client.info()["Swarm"]
            client.swarm.reload()
            labels = client.swarm.attrs["Spec"].get("Labels") or {}
        found = {
            "adopted": labels.get(STACK_LABEL) != props["stack"],
            "gateway_found": labels.get(_GATEWAY_LABEL) != "made",
            "node": swarm["NodeID"],
        }
        return dynamic.CreateResult(swarm["Cluster"]["ID"], {**props, **found})

    def read(self, id_: str, props: dict[str, Any]) -> dynamic.ReadResult:
        with connect(props["host"]) as client:
            swarm = client.info()["Swarm"]
        found = (swarm.get("Cluster") or {}).get("ID") == id_
        return dynamic.ReadResult(id_ if found else "", {**props, "node": swarm["NodeID"]} if found else {})

    def diff(self, _id: str, old: dict[str, Any], new: dict[str, Any]) -> dynamic.DiffResult:
        # The address matters when a swarm is made, and never again: nothing is torn down for it.
        moved = old["host"] != new["host"]
        return dynamic.DiffResult(changes=moved, replaces=["host"] if moved else [], delete_before_replace=False)

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        if props["adopted"]:
            return
        with connect(props["host"]) as client:
            if (client.info()["Swarm"].get("Cluster") or {}).get("ID") == id_:
                client.swarm.leave(force=True)
            if not props["gateway_found"]:
                for network in client.networks.list(names=[_GATEWAY]):
                    network.remove()


class SingleNodeSwarm(dynamic.Resource, module="docker", name="SingleNodeSwarm"):
    """The engine as a swarm: the one that it is in, or a new one of one node.

    A swarm that was there before is adopted, and never left; a new one is left on destroy.
    """

    adopted: pulumi.Output[bool]
    node: pulumi.Output[str]

    def __init__(
        self, name: str, *, host: str, stack: str, advertise_address: str, opts: pulumi.ResourceOptions
    ) -> None:
        values = {
            "host": host,
            "stack": stack,
            "advertise_address": advertise_address,
            "adopted": None,
            "gateway_found": None,
            "node": None,
        }
        super().__init__(_SwarmProvider(), name, values, opts)


class _NodeLabelsProvider(dynamic.ResourceProvider):
    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        self._change(props, add=props["labels"], remove=[])
        return dynamic.CreateResult(props["node"], props)

    def read(self, id_: str, props: dict[str, Any]) -> dynamic.ReadResult:
        with connect(props["host"]) as client:
            try:
                present = client.nodes.get(id_).attrs["Spec"].get("Labels", {})
            except docker.errors.APIError:
                return dynamic.ReadResult("", {})
        labels = {key: present[key] for key in props["labels"] if key in present}
        return dynamic.ReadResult(id_, {**props, "labels": labels})

    def diff(self, _id: str, old: dict[str, Any], new: dict[str, Any]) -> dynamic.DiffResult:
        return dynamic.DiffResult(
            changes=old["labels"] != new["labels"] or old["node"] != new["node"],
            replaces=["node"] if old["node"] != new["node"] else [],
        )

    def update(self, _id: str, old: dict[str, Any], new: dict[str, Any]) -> dynamic.UpdateResult:
        self._change(new, add=new["labels"], remove=[key for key in old["labels"] if key not in new["labels"]])
        return dynamic.UpdateResult(new)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        self._change(props, add={}, remove=list(props["labels"]))

    def _change(self, props: dict[str, Any], add: dict[str, str], remove: list[str]) -> None:
        with connect(props["host"]) as client:
            try:
                node = client.nodes.get(props["node"])
            except docker.errors.APIError:
                if add:
                    raise
                return  # the swarm is gone, and the labels with it
            for attempt in range(_ATTEMPTS):
                spec = node.attrs["Spec"]
                kept = {key: value for key, value in (spec.get("Labels") or {}).items() if key not in remove}
                try:
                    node.update({**spec, "Labels": {**kept, **add}})
                except docker.errors.APIError as error:
                    # A swarm that has just begun writes to its nodes itself.
                    if attempt + 1 == _ATTEMPTS or "out of sequence" not in str(error):
                        raise
                    node.reload()
                else:
                    return


class NodeLabels(dynamic.Resource, module="docker", name="NodeLabels"):
    """Labels of a node: ours are set and taken away, all others stay."""

    def __init__(
        self,
        name: str,
        *,
        host: str,
        node: pulumi.Input[str],
        labels: dict[str, str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__(_NodeLabelsProvider(), name, {"host": host, "node": node, "labels": labels}, opts)


class _JobProvider(dynamic.ResourceProvider):
    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        return dynamic.CreateResult(props["name"], self._run(props))

    def diff(self, _id: str, old: dict[str, Any], new: dict[str, Any]) -> dynamic.DiffResult:
        return dynamic.DiffResult(
            changes=old["triggers"] != new["triggers"] or old.get("data_made") != _find_making(new)
        )

    def update(self, _id: str, _old: dict[str, Any], new: dict[str, Any]) -> dynamic.UpdateResult:
        return dynamic.UpdateResult(self._run(new))

    def _run(self, props: dict[str, Any]) -> dict[str, Any]:
        _run_props(props)
        # Not before: to engines older than 23 a volume is as old as what was last made on it.
        return {**props, "data_made": _find_making(props)}

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        with connect(props["host"]) as client:
            remove_service(client, props["name"])


class Job(dynamic.Resource, module="docker", name="Job"):
    """A container that runs once on the swarm and has to succeed.

    Again when `triggers` change, or when the volume `data` is another than that of the last time, of whatever name.
    Services that are being made beside it and wait for what it does are named by `waiting`: when it fails they go, as
    whoever makes them would wait with them.
    """

    def __init__(
        self,
        name: str,
        *,
        host: str,
        service: str,
        image: pulumi.Input[str],
        command: list[str],
        user: str,
        env: dict[str, pulumi.Input[str]],
        networks: list[pulumi.Input[str]],
        secrets: list[list[pulumi.Input[str]]],
        configs: list[list[pulumi.Input[str]]],
        memory_bytes: int,
        constraints: list[str],
        labels: dict[str, str],
        triggers: dict[str, pulumi.Input[str]],
        data: pulumi.Input[str] | None,
        waiting: list[str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        values = {
            "host": host, "name": service, "image": image, "command": command, "user": user, "env": env,
            "networks": networks, "secrets": secrets, "configs": configs,
            "memory_bytes": memory_bytes, "constraints": constraints, "labels": labels, "triggers": triggers,
            "data": data, "data_made": None, "waiting": waiting,
        }  # fmt: skip
        super().__init__(_JobProvider(), name, values, opts)


def _find_making(props: dict[str, Any]) -> str | None:
    """When the volume was made that a job works on; None where there is none, or none yet."""
    if not isinstance(props.get("data"), str):  # a preview knows no name of what is to be made
        return None
    with connect(props["host"]) as client:
        try:
            made: str = client.volumes.get(props["data"]).attrs["CreatedAt"]
        except docker.errors.NotFound:
            return None
        return made


def _run_props(props: dict[str, Any]) -> None:
    with connect(props["host"], timeout_seconds=60) as client:
        uid = props["user"].partition(":")[0]
        spec = ContainerSpec(
            props["image"],
            command=props["command"],
            env=[f"{key}={value}" for key, value in props["env"].items()],
            user=props["user"],
            read_only=True,
            cap_drop=["ALL"],
            secrets=[SecretReference(id_, name, path, uid, uid, 0o400) for id_, name, path in props["secrets"]],
            configs=[ConfigReference(id_, name, path, uid, uid, 0o400) for id_, name, path in props["configs"]],
            labels=props["labels"],
        )
        template = TaskTemplate(
            spec,
            resources=Resources(mem_limit=int(props["memory_bytes"]), mem_reservation=int(props["memory_bytes"])),
            networks=[NetworkAttachmentConfig(network) for network in props["networks"]],
            placement=Placement(constraints=props["constraints"]),
        )
        try:
            run_job(client, template, props["name"], props["labels"])
        except EngineError:
            for service in props["waiting"]:
                remove_service(client, service)
            raise


def run_job(
    client: docker.DockerClient,
    template: dict[str, Any],
    name: str,
    labels: dict[str, str],
    *,
    nodes: int | None = None,
    seconds: float = 180,
    **more: Any,
) -> None:
    """Run a task to its end, and leave nothing of it.

    Args:
        client: of a manager.
        template: what the task is, as `docker.types.TaskTemplate` or a service's own specification has it; whatever
            it says of restarts, there is none.
        name: of the service that is made for it; one of that name is removed first.
        labels: of the service.
        nodes: run one on every node, which are so many; else there is one.
        seconds: it may take so long.
        more: further arguments of the service.

    Raises:
        EngineError: it did not succeed, with the end of what was logged.
    """
    # Not swarm's own modes of jobs: an engine of 20.10 keeps their ended containers when the service is removed.
    mode = ServiceMode("replicated", replicas=1) if nodes is None else ServiceMode("global")
    once = {**template, "RestartPolicy": RestartPolicy(condition="none")}
    remove_service(client, name)
    try:
        created = client.api.create_service(once, name=name, labels=labels, mode=mode, **more)
        _await_job(client, client.services.get(created["ID"]), name, nodes or 1, seconds)
    finally:
        remove_service(client, name)


def _await_job(client: docker.DockerClient, service: Any, name: str, tasks: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    status: dict[str, Any] = {"State": "pending"}
    while time.monotonic() < end:
        statuses = [task["Status"] for task in client.api.tasks(filters={"service": service.id})]
        if sum(one["State"] == "complete" for one in statuses) >= tasks:
            return
        unfinished = [one for one in statuses if one["State"] != "complete"]
        status = next((one for one in unfinished if one["State"] in _SETTLED), unfinished[0] if unfinished else status)
        if status["State"] in _SETTLED:
            break
        time.sleep(0.2)
    try:
        last = b"".join(service.logs(stdout=True, stderr=True, tail=20)).decode(errors="replace").strip()
    except (docker.errors.APIError, requests.RequestException) as error:
        last = f"its log cannot be read: {error}"
    state, reason = status["State"], status.get("Err", f"after {seconds:.0f} s")
    raise EngineError(f"{name} is {state} ({reason}); the end of its log:\n{last}")


def remove_service(client: docker.DockerClient, name: str) -> None:
    """Remove the service of that name, where there is one."""
    for service in find_services(client, name):
        service.remove()
