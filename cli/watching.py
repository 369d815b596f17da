"""Questions to those who watch a stack, asked where they run: none of them has a port on any node."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import docker

from cli.console import StopError
from components.aws.session import is_session, machine_host
from components.engine import connect, find_container, find_services, run_in
from components.naming import INSTANCE_LABEL, Names

_SECONDS: Final = 20


@dataclass(frozen=True)
class Watchers:
    """Those who watch a stack; `client` is of a manager, whose swarm's address is `host`."""

    client: docker.DockerClient
    host: str
    names: Names

    def ask(self, part: str, address: str, setting: str) -> bytes | None:
        """What a service of the stack answers at an address of its own; None where it knows of no such thing.

        Raises:
            StopError: it does not run, for which `setting` is the cure, or does not answer.
            EngineError: its node is not reached.
        """
        service = self.names.of(part)
        with self._find(service) as container:
            if container is None:
                file = f"Pulumi.{self.names.environment}.yaml"
                raise StopError(f"{service} does not run here; set beamops:{setting} in {file}, or see `make status`")
            # Its own -T ends in a segmentation fault in the busybox of Debian.
            bounded = ["busybox", "timeout", str(_SECONDS)]
            command = [*bounded, "busybox", "wget", "-q", "-O", "-", f"http://127.0.0.1:{address}"]
            code, said, complaint = run_in(container, command)
        if code:
            reason = complaint.decode(errors="replace").strip()
            if "404" in reason:
                return None
            raise StopError(f"{service} does not answer: {reason or f'nothing came within {_SECONDS} s'}")
        return said

    @contextmanager
    def _find(self, service: str) -> Iterator[Any | None]:
        """Its container, on whichever node it runs: machines of an account are asked each for itself."""
        instance = self._find_instance(service) if is_session(self.host) else None
        if instance is None:
            yield find_container(self.client, service)
            return
        with connect(machine_host(self.host, instance)) as client:
            yield find_container(client, service)

    def _find_instance(self, service: str) -> str | None:
        wanted = {"desired-state": "running"}
        tasks = [task for found in find_services(self.client, service) for task in found.tasks(wanted)]
        running = (task["NodeID"] for task in tasks if task["Status"]["State"] == "running")
        node = next(running, None)
        return None if node is None else self.client.nodes.get(node).attrs["Spec"]["Labels"].get(INSTANCE_LABEL)
