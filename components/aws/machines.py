"""What no AWS resource does: an image pushed to ECR, nodes that are ready for it, networks that really carry.

Each is a dynamic provider: the engine calls it in a process of its own, with plain dictionaries. Credentials are asked
for when they are needed and are in no resource's properties; AWS is asked as boto3 is configured.
"""

import base64
import hashlib
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
import docker
import pulumi
from botocore.exceptions import ClientError
from docker.types import ContainerSpec, Placement, Resources, TaskTemplate
from pulumi import dynamic

from components import catalogue
from components.engine import EngineError, connect
from components.naming import INSTANCE_LABEL, STACK_LABEL
from components.resources import remove_service, run_job

ON_WORKERS: Final = "node.role==worker"
"""Constraint of what serves, where managers keep to managing."""
_POLL_SECONDS: Final = 3
_PUSH_SECONDS: Final = 900
_CHECK: Final = Path(__file__).parent / "overlay_check.py"
_CHECK_SECONDS: Final = 30
_MIB: Final = 1024 * 1024


class _PushProvider(dynamic.ResourceProvider):
    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        digest = _find_digest(props) or _push(props)
        return dynamic.CreateResult(digest, {**props, "reference": f"{props['repository']}@{digest}"})

    def read(self, id_: str, props: dict[str, Any]) -> dynamic.ReadResult:
        return dynamic.ReadResult(id_ if _find_digest(props) == id_ else "", props)

    def diff(self, _id: str, old: dict[str, Any], new: dict[str, Any]) -> dynamic.DiffResult:
        moved = [key for key in ("repository", "tag") if old[key] != new[key]]
        return dynamic.DiffResult(changes=bool(moved), replaces=moved, delete_before_replace=False)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """An image stays: the release before is what a roll back goes to. The repository's rules expire it."""


class PushedImage(dynamic.Resource, module="aws", name="PushedImage"):
    """An image of the engine here in ECR, under a tag that never changes; `reference` has its digest."""

    reference: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        host: str,
        image: pulumi.Input[str],
        repository: pulumi.Input[str],
        tag: str,
        region: str,
        opts: pulumi.ResourceOptions,
    ) -> None:
        values = {
            "host": host, "image": image, "repository": repository, "tag": tag, "region": region, "reference": None,
        }  # fmt: skip
        super().__init__(_PushProvider(), name, values, opts)


def _find_digest(props: dict[str, Any]) -> str | None:
    repository = props["repository"].partition("/")[2]
    try:
        found = boto3.client("ecr", region_name=props["region"]).describe_images(
            repositoryName=repository, imageIds=[{"imageTag": props["tag"]}]
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in {"ImageNotFoundException", "RepositoryNotFoundException"}:
            return None
        raise
    digest: str = found["imageDetails"][0]["imageDigest"]
    return digest


def _push(props: dict[str, Any]) -> str:
    given = boto3.client("ecr", region_name=props["region"]).get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(given["authorizationToken"]).decode().partition(":")
    with connect(props["host"], _PUSH_SECONDS) as client:
        client.images.get(props["image"]).tag(props["repository"], props["tag"])
        said = client.images.push(
            props["repository"], props["tag"], auth_config={"username": user, "password": password}, stream=True,
            decode=True,
        )  # fmt: skip
        digest = ""
        for line in said:
            if "error" in line:
                raise EngineError(f"{props['repository']}:{props['tag']} cannot be pushed: {line['error']}")
            digest = line.get("aux", {}).get("Digest", digest)
    if not digest:
        raise EngineError(f"{props['repository']}:{props['tag']} was pushed, and the registry tells no digest")
    return digest


class _ReadyProvider(dynamic.ResourceProvider):
    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        return dynamic.CreateResult(_await_nodes(props), props)

    def update(self, _id: str, _old: dict[str, Any], new: dict[str, Any]) -> dynamic.UpdateResult:
        _await_nodes(new)
        return dynamic.UpdateResult(new)

    def diff(self, _id: str, old: dict[str, Any], new: dict[str, Any]) -> dynamic.DiffResult:
        # A state from before managers had images of their own names none.
        keys = ("images", "manager_images", "managers", "workers")
        return dynamic.DiffResult(changes=any(old.get(key) != new[key] for key in keys))


class ReadyNodes(dynamic.Resource, module="aws", name="ReadyNodes"):
    """Waits until so many nodes are in the swarm, and every node has the images; its id is the swarm's."""

    def __init__(
        self,
        name: str,
        *,
        host: str,
        stack: str,
        region: str,
        managers: int,
        workers: int,
        images: pulumi.Input[str],
        manager_images: pulumi.Input[str],
        seconds: int,
        opts: pulumi.ResourceOptions,
    ) -> None:
        values = {
            "host": host, "stack": stack, "region": region, "managers": managers, "workers": workers,
            "images": images, "manager_images": manager_images, "seconds": seconds,
        }  # fmt: skip
        super().__init__(_ReadyProvider(), name, values, opts)


def digest_images(images: str) -> str:
    """What a node says that it has, when it has these images: the same as node.sh computes."""
    return hashlib.sha256(images.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Needed:
    """What nodes of a kind must be, before services go there."""

    count: int
    images: Collection[str]
    """Digests of the lists either of which does."""


def find_lacking(instances: Sequence[dict[str, Any]], needed: Mapping[str, Needed]) -> list[str]:
    """What is missing until services can go to these machines, a clause each; `needed` of each role."""
    lacking, ready = [], Counter[str]()
    for instance in instances:
        tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
        role = tags["beamops:role"]
        name = f"{instance['InstanceId']} ({role})"
        if tags.get("beamops:swarm") != "ready":
            lacking.append(f"{name} has not joined")
        elif tags.get("beamops:images") not in needed[role].images:
            lacking.append(f"{name} lacks images")
        else:
            ready[role] += 1
    if lacking:
        return lacking
    return [
        f"there are {ready[role]} of {one.count} {role}s" for role, one in needed.items() if ready[role] < one.count
    ]


def _await_nodes(props: dict[str, Any]) -> str:
    """The swarm's id, once its nodes are ready."""
    ec2 = boto3.client("ec2", region_name=props["region"])
    filters = [
        {"Name": "tag:beamops:stack", "Values": [props["stack"]]},
        {"Name": "tag:beamops:role", "Values": ["manager", "worker"]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    workers_list = digest_images(props["images"])
    needed = {
        # A manager that goes by the workers' list has all images, or is one from before, which is drained.
        "manager": Needed(int(props["managers"]), {digest_images(props["manager_images"]), workers_list}),
        "worker": Needed(int(props["workers"]), {workers_list}),
    }
    end = time.monotonic() + props["seconds"]
    while True:
        pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
        instances = [one for page in pages for group in page["Reservations"] for one in group["Instances"]]
        lacking = find_lacking(instances, needed)
        if not lacking:
            break
        if time.monotonic() > end:
            raise EngineError(
                f"after {props['seconds']:.0f} s the nodes are not ready: {'; '.join(lacking)}. Look at a node's log "
                "through Session Manager: journalctl -u beamops-node"
            )
        time.sleep(_POLL_SECONDS)
    with connect(props["host"]) as client:
        # One that is down may be of a join that was cut off: the leading manager forgets it in time.
        while [
            node
            for node in client.nodes.list()
            if node.attrs["Status"]["State"] != "down" and INSTANCE_LABEL not in node.attrs["Spec"]["Labels"]
        ]:
            if time.monotonic() > end:
                raise EngineError(
                    "the leading manager does not label its nodes; look at its log: journalctl -u beamops-node"
                )
            time.sleep(_POLL_SECONDS)
        id_: str = client.info()["Swarm"]["Cluster"]["ID"]
    return id_


class _CarryProvider(dynamic.ResourceProvider):
    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        _check(props)
        return dynamic.CreateResult(props["swarm"], props)

    def update(self, _id: str, _old: dict[str, Any], new: dict[str, Any]) -> dynamic.UpdateResult:
        _check(new)
        return dynamic.UpdateResult(new)

    def diff(self, _id: str, old: dict[str, Any], new: dict[str, Any]) -> dynamic.DiffResult:
        # A state from before managers ran anything names no constraints.
        return dynamic.DiffResult(
            changes=any(old.get(key) != new[key] for key in ("encrypted", "swarm", "constraints"))
        )


class CarryingOverlay(dynamic.Resource, module="docker", name="CarryingOverlay"):
    """Makes sure that an overlay network carries from every node to every other, before a service stands on one.

    A swarm says nothing when a node's kernel cannot encrypt: its services start, and never hear of each other.
    """

    def __init__(
        self,
        name: str,
        *,
        host: str,
        stack: str,
        swarm: pulumi.Input[str],
        image: pulumi.Input[str],
        encrypted: bool,
        constraints: list[str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        values = {
            "host": host, "stack": stack, "swarm": swarm, "image": image, "encrypted": encrypted,
            "constraints": constraints,
        }  # fmt: skip
        super().__init__(_CarryProvider(), name, values, opts)


def _check(props: dict[str, Any]) -> None:
    check_overlay(
        props["host"], props["stack"], props["image"], encrypted=props["encrypted"], constraints=props["constraints"]
    )


def check_overlay(host: str, stack: str, image: str, *, encrypted: bool, constraints: Sequence[str]) -> None:
    """Let a task on every node that runs services talk to all the others, over a network made for it alone.

    Args:
        host: of a manager.
        stack: whose nodes they are.
        image: the coordinator's, which those nodes have.
        encrypted: whether the network is.
        constraints: `ON_WORKERS`, or none where managers run services too.

    Raises:
        EngineError: one of them hears nothing of another.
    """
    name = f"{stack}-overlay-check"
    labels = {STACK_LABEL: stack}
    with connect(host, _CHECK_SECONDS) as client:
        nodes = [
            node for node in client.nodes.list()
            if node.attrs["Spec"]["Availability"] == "active" and node.attrs["Status"]["State"] == "ready"
            and (node.attrs["Spec"]["Role"] == "worker" or ON_WORKERS not in constraints)
        ]  # fmt: skip
        remove_service(client, name)
        _remove_network(client, name)
        network = client.networks.create(
            name, driver="overlay", internal=True, labels=labels, options={"encrypted": "true"} if encrypted else {}
        )
        try:
            spec = ContainerSpec(
                image,
                command=["python3", "-c", _CHECK.read_text(), f"tasks.{name}", str(len(nodes)), str(_CHECK_SECONDS)],
                user=catalogue.PYTHON.user,
                read_only=True,
                cap_drop=["ALL"],
                labels=labels,
            )
            template = TaskTemplate(
                spec,
                resources=Resources(mem_limit=64 * _MIB, mem_reservation=64 * _MIB),
                networks=[str(network.id)],
                placement=Placement(constraints=list(constraints)),
            )
            run_job(client, template, name, labels, nodes=len(nodes), endpoint_spec={"Mode": "dnsrr"})
        except EngineError as error:
            cure = "; their kernel may lack the cipher: set beamops:network.encrypted_overlays to false to do without"
            raise EngineError(
                f"an overlay network{' that is encrypted' if encrypted else ''} does not carry between the nodes"
                f"{cure if encrypted else ': open 7946 and 4789 between them'} ({error})"
            ) from None
        finally:
            _remove_network(client, name)


def _remove_network(client: docker.DockerClient, name: str) -> None:
    """Once the last task has let go of it."""
    end = time.monotonic() + _CHECK_SECONDS
    while found := client.networks.list(names=[name]):
        try:
            found[0].remove()
        except docker.errors.APIError as error:
            if time.monotonic() > end:
                raise EngineError(f"the network {name} cannot be removed: {error}") from error
            time.sleep(0.5)
