"""Staging on a real account, as far as it can be had here: services go to five machines, through sessions, by digest.

What stands in for AWS is in tests/site.py; the program, the engine, the swarm, the images' way and PostgreSQL are real.
"""

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
import yaml

from cli.toolchain import Toolchain
from components.containers import ROOT, Source
from tests.site import MANAGERS, WORKERS, Site, make_site

WHY = "this machine's kernel lacks the cipher"
COMMAND = """
import sys
from cli.__main__ import main
import cli.__main__ as command
from cli.toolchain import add_stand_in
made = command.ensure_toolchain
command.ensure_toolchain = lambda: add_stand_in(made())
main()
"""
"""The command line, with the stand-in where the official AWS plugin is missing."""


@pytest.fixture(scope="module")
def site(
    engine: docker.DockerClient,
    source: Source,
    toolchain: Toolchain,  # noqa: ARG001 - built before anything waits for it
) -> Iterator[Site]:
    if source != "build":
        pytest.skip("images are pulled here: what is built for machines is not")
    with make_site(Path("/tmp") / f"bo-{secrets.token_hex(3)}", engine) as site:  # noqa: S108
        exempt = [
            {"rule": "overlays-encrypted", "resource": network, "reason": WHY, "expires": "9999-12-31"}
            for network in ("app", "data", "edge")
        ]
        given: dict[str, dict[str, Any]] = {
            "plan": {"name": site.name},
            "network": {"encrypted_overlays": False},
            "production": {
                "domain": "work.example.com",
                "hosted_zone": "example.com",
                "managers": MANAGERS,
                "manager_type": "t3a.medium",
                "worker_type": "t3a.large",
                "database": {"authorities": str(site.folder / "certificates" / "ca.pem")},
            },
            "autoscaling": {"minimum": WORKERS},
            "policies": {"exemptions": exempt},
        }
        content = {"config": {f"beamops:{key}": value for key, value in given.items()}}
        (site.folder / "Pulumi.staging.yaml").write_text(yaml.safe_dump(content))
        yield site


def call(site: Site, *arguments: str) -> str:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments, "--stack", "staging"],
        cwd=ROOT, env={**os.environ, **site.environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    machines = threading.Thread(target=site.run_machines, args=(process,), daemon=True)
    if arguments[0] == "up":
        machines.start()
    said, _ = process.communicate(timeout=1200)
    print(said)
    assert process.returncode == 0, said
    site.note_images()
    return said


def test_services_go_to_machines_of_the_account(site: Site) -> None:
    call(site, "up")
    token = call(site, "token", "ada", "agent").strip()
    for node in site.workers:
        url = f"http://{node.address}:4000"
        assert httpx.get(f"{url}/v1/work").status_code == 401, "whoever has no token learns nothing"
        assert httpx.get(f"{url}/v1/work", headers={"Authorization": f"Bearer {token}"}).status_code == 200
