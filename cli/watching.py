"""Questions to those who watch a stack, asked where they run: none of them has a port on any node."""

from typing import Final

import docker

from cli.console import StopError
from components.engine import find_container
from components.naming import Names

_ATTEMPTS: Final = 5
"""A busy engine now and then loses what a command said."""


def ask_watcher(client: docker.DockerClient, names: Names, part: str, address: str, setting: str) -> bytes | None:
    """What a service of the stack answers at an address of its own; None where it knows of no such thing.

    Raises:
        StopError: it does not run on this engine, or does not answer.
    """
    service = names.of(part)
    container = find_container(client, service)
    if container is None:
        file = f"Pulumi.{names.environment}.yaml"
        raise StopError(f"{service} does not run here; set beamops:{setting} in {file}, or see `make status`")
    for _ in range(_ATTEMPTS):
        done = container.exec_run(["busybox", "wget", "-q", "-O", "-", f"http://127.0.0.1:{address}"], demux=True)
        said, complaint = (part or b"" for part in done.output)
        if said or complaint:
            break
    if done.exit_code:
        reason = complaint.decode(errors="replace").strip()
        if "404" in reason:
            return None
        raise StopError(f"{service} does not answer: {reason}")
    return said
