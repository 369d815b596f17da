"""A load balancer that does what AWS's does with a target group: the same checks, no second try, no repair."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker

from components import catalogue
from components.containers import built_reference
from tests.servers import free_port

_CONFIGURATION = """
defaults
    mode http
    timeout connect 3s
    timeout client 75s
    timeout server 75s
    retries 0

frontend balancer
    bind 127.0.0.1:{port}
    http-request set-header X-Forwarded-Proto https
    default_backend targets

backend targets
    balance roundrobin
    option httpchk GET /readyz
    default-server check inter 5s fall 2 rise 2
{servers}
"""
"""Checks as components/aws/production.py asks for: every 5 s, out after two that fail, in after two that do not."""


@contextmanager
def balance(engine: docker.DockerClient, folder: Path, targets: list[str]) -> Iterator[str]:
    """Its address on loopback; what it sends goes to the targets, `address:port`, on the test's own bridge."""
    port, file = free_port(), folder / "balancer.cfg"
    servers = "\n".join(f"    server target-{number} {target}" for number, target in enumerate(targets))
    file.write_text(_CONFIGURATION.format(port=port, servers=servers))
    container = engine.containers.run(
        built_reference(catalogue.PROXY), ["haproxy", "-db", "-f", "/balancer.cfg"],
        detach=True, network_mode="host", volumes={str(file): {"bind": "/balancer.cfg", "mode": "ro"}},
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        container.remove(force=True)
